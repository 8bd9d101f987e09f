"""Fields of File."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine import files
from engine.api.arguments import check_name, ids_in, look
from engine.api.values import Stat, stat_of
from engine.calls import field
from engine.errors import EngineError
from engine.exports import write_file
from engine.lazy import Lazy
from engine.model import File
from engine.root import Root
from engine.snapshot import EMPTY
from engine.store import digest as digest_of
from engine.tree import file_digest

if TYPE_CHECKING:
    from engine.session import Session

_FILE_MODE = 0o644
_LARGEST = 128 << 20
"""The bytes of a file that are passed on as text."""


def _status(root: Root, file: File) -> os.stat_result:
    files.check_file(root, file.path, _shown(file))
    return root.stat(file.path)


def _shown(file: File) -> str:
    return file.shown or file.path.lstrip("/")


def _name(file: File) -> str:
    return file.name or os.path.basename(file.path)


@field("Query", "file")
async def new(
    session: Session, _: None, name: str, contents: str, permissions: int = 0o644
) -> File:
    """A file with the given contents."""
    if "/" in name:
        raise EngineError(f'file name "{name}" must not contain a directory')
    if not name:
        raise EngineError("a new file needs a name")
    check_name(name)
    made = files.with_new_file(
        session.snapshots, Lazy.of(EMPTY), f"/{name}", contents, mode=permissions or _FILE_MODE
    )
    return File(made, f"/{name}")


@field("File", "sync")
async def sync(session: Session, file: File) -> None:
    """Work the file out; a missing one fails here."""
    await look(session, file.snapshot, lambda root: _status(root, file))


@field("File", "contents")
async def contents(
    session: Session,
    file: File,
    offset_lines: int | None = None,
    limit_lines: int | None = None,
) -> str:
    """The file as text, of at most 128 MiB; what is not UTF-8 becomes replacement characters."""
    if limit_lines == 0:
        return ""
    if offset_lines is None and limit_lines is None:
        return (await _whole(session, file)).decode(errors="replace")

    def answer(root: Root) -> bytes:
        _status(root, file)
        with os.fdopen(root.open(file.path), "rb") as source:
            return _some_lines(source, file, max(offset_lines or 0, 0), limit_lines)

    return (await look(session, file.snapshot, answer)).decode(errors="replace")


async def _whole(session: Session, file: File) -> bytes:
    def answer(root: Root) -> bytes:
        _check_size(file, _status(root, file).st_size)
        return root.read(file.path)

    return await look(session, file.snapshot, answer)


def _some_lines(source: BinaryIO, file: File, first: int, limit: int | None) -> bytes:
    """Lines from the number `first`, counted from 0; all for no limit or one below 0."""
    taken = bytearray()
    for number, line in enumerate(iter(lambda: source.readline(_LARGEST + 1), b"")):
        if limit is not None and 0 < limit <= number - first:
            break
        if number >= first:
            taken += line
        _check_size(file, max(len(line), len(taken)))
    return bytes(taken)


def _check_size(file: File, size: int) -> None:
    if size > _LARGEST:
        raise EngineError(
            f"{_shown(file)}: file size {size} exceeds limit {_LARGEST}; "
            "export the file, or mount it into a container"
        )


@field("File", "size")
async def size(session: Session, file: File) -> int:
    """The file's size in bytes."""
    return (await look(session, file.snapshot, lambda root: _status(root, file))).st_size


@field("File", "name")
async def name(session: Session, file: File) -> str:
    """The file's own name."""
    await sync(session, file)
    return _name(file)


@field("File", "stat")
async def stat(session: Session, file: File) -> Stat:
    """What is known of the file."""
    status = await look(session, file.snapshot, lambda root: _status(root, file))
    return stat_of(_name(file), status)


@field("File", "digest")
async def digest(session: Session, file: File, exclude_metadata: bool = False) -> str:
    """A digest of the contents and, unless left out, of name, mode and owner."""

    def answer(root: Root) -> str:
        status = _status(root, file)
        found = file_digest(_real(root, file))
        if not exclude_metadata:
            found = digest_of(found, status.st_mode, status.st_uid, status.st_gid, _name(file))
        return f"sha256:{found}"

    return await look(session, file.snapshot, answer)


def _start_of(text: bytes, line: int) -> int:
    """Where a line begins, counted from 1."""
    start = 0
    for _ in range(line - 1):
        start = text.find(b"\n", start) + 1
        if not start:
            return len(text)
    return start


def _line_of(text: bytes, place: int, length: int) -> str:
    """A place in a text as a line's number, from 1, and the bytes in that line."""
    line = text.count(b"\n", 0, place) + 1
    start = place - (text.rfind(b"\n", 0, place) + 1)
    return f"line {line} ({start}-{start + length})"


def _real(root: Root, file: File) -> Path:
    return Path(root.real(file.path))


@field("File", "withName")
async def with_name(session: Session, file: File, name: str) -> File:
    """The file under another name."""
    if "/" in name:
        raise EngineError(f'file name "{name}" must not contain a directory')
    return replace(file, name=name)


@field("File", "withTimestamps")
async def with_timestamps(session: Session, file: File, timestamp: int) -> File:
    """The file with a modification time, in seconds since 1970."""
    made = files.with_timestamps(session.snapshots, file.snapshot, file.path, timestamp)
    return replace(file, snapshot=made)


@field("File", "chown")
async def chown(session: Session, file: File, owner: str) -> File:
    """The file with another owner, given by numbers."""
    ids = await ids_in(session, file.snapshot, owner)
    if ids is None:
        return file
    made = files.chowned(session.snapshots, file.snapshot, file.path, ids)
    return replace(file, snapshot=made)


@field("File", "withReplaced")
async def with_replaced(
    session: Session,
    file: File,
    search: str,
    replacement: str,
    all: bool = False,  # noqa: A002 - the API's name
    first_from: int | None = None,
) -> File:
    """The file with text replaced: the only occurrence, all, or the first from a line on."""
    if not search:
        raise EngineError("the search string is empty")
    text = await _whole(session, file)
    wanted, new = (each.encode("utf-8", "surrogateescape") for each in (search, replacement))
    start = _start_of(text, first_from or 1)
    places = [match.start() for match in re.finditer(re.escape(wanted), text[start:])]
    if not places:
        if all:
            return file
        raise EngineError("search string not found")
    if len(places) > 1 and not all and first_from is None:
        found = ", ".join(_line_of(text, place, len(wanted)) for place in places)
        raise EngineError(f"search string found multiple times: {found}")
    changed = text[:start] + text[start:].replace(wanted, new, -1 if all else 1)
    made = files.with_new_file(
        session.snapshots,
        file.snapshot,
        file.path,
        changed.decode("utf-8", "surrogateescape"),
    )
    return replace(file, snapshot=made)


@field("File", "export")
async def export(
    session: Session, file: File, path: str, allow_parent_dir_path: bool = False
) -> str:
    """Write the file to the client's machine; the path that was given, absolute."""
    given = session.host_path(path)
    target = given
    if given.is_dir():
        if not allow_parent_dir_path:
            raise EngineError(
                f'destination "{given}" is a directory; '
                "must be a file path unless allowParentDirPath is set"
            )
        target = given / _name(file)

    def write(root: Root) -> None:
        _status(root, file)
        write_file(_real(root, file), target)

    await look(session, file.snapshot, write)
    return str(given)
