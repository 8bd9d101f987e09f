"""Fields of File."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import files
from engine.api.arguments import look, plain_ids
from engine.api.values import Stat, stat_of
from engine.calls import field
from engine.errors import EngineError
from engine.hostfiles import write_file
from engine.lazy import Lazy
from engine.model import File
from engine.root import Root
from engine.snapshot import EMPTY
from engine.store import digest as digest_of
from engine.tree import file_digest

if TYPE_CHECKING:
    from engine.session import Session


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
    if not name or "/" in name:
        raise EngineError(f"a file's name is one name and not a path: {name!r}")
    made = files.with_new_file(
        session.snapshots, Lazy.of(EMPTY), f"/{name}", contents, mode=permissions
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
    """The file as text; what is not UTF-8 becomes replacement characters."""

    def answer(root: Root) -> str:
        _status(root, file)
        return root.read(file.path).decode(errors="replace")

    text = await look(session, file.snapshot, answer)
    if offset_lines is None and limit_lines is None:
        return text
    lines = _lines(text)[offset_lines or 0 :]
    return "".join(lines if limit_lines is None else lines[:limit_lines])


@field("File", "size")
async def size(session: Session, file: File) -> int:
    """The file's size in bytes."""
    return (await look(session, file.snapshot, lambda root: _status(root, file))).st_size


@field("File", "name")
async def name(session: Session, file: File) -> str:
    """The file's own name."""
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


def _lines(text: str) -> list[str]:
    # Not `splitlines`, for which a form feed ends a line too.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _real(root: Root, file: File) -> Path:
    return Path(root.real(file.path))


@field("File", "withName")
async def with_name(session: Session, file: File, name: str) -> File:
    """The file under another name."""
    return replace(file, name=name)


@field("File", "withTimestamps")
async def with_timestamps(session: Session, file: File, timestamp: int) -> File:
    """The file with a modification time, in seconds since 1970."""
    made = files.with_timestamps(session.snapshots, file.snapshot, file.path, timestamp)
    return replace(file, snapshot=made)


@field("File", "chown")
async def chown(session: Session, file: File, owner: str) -> File:
    """The file with another owner, given by numbers."""
    ids = plain_ids(owner)
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

    def read(root: Root) -> tuple[os.stat_result, str]:
        return _status(root, file), root.read(file.path).decode("utf-8", "surrogateescape")

    status, text = await look(session, file.snapshot, read)
    start = sum(len(line) for line in _lines(text)[: (first_from or 1) - 1])
    count = text.count(search, start)
    if not count:
        raise EngineError(f"{_name(file)}: search string not found")
    if count > 1 and not all and first_from is None:
        raise EngineError(f"{_name(file)}: search string found {count} times, set all or firstFrom")
    changed = text[:start] + text[start:].replace(search, replacement, -1 if all else 1)
    made = files.with_new_file(
        session.snapshots,
        file.snapshot,
        file.path,
        changed,
        mode=status.st_mode & 0o7777,
        owner=(status.st_uid, status.st_gid),
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
