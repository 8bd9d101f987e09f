"""COPY and ADD: which files go where, with which owner and mode."""

from __future__ import annotations

import asyncio
import bz2
import hashlib
import lzma
import os
import stat
import tarfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from engine import files
from engine.dockerfile.errors import DockerfileError
from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Container, Directory, File
from engine.oci.unpack import unpack as unpack_layer
from engine.patterns import Glob
from engine.root import Root, clean
from engine.selection import Selection
from engine.snapshot import Snapshot
from engine.store import digest
from engine.tree import Attributes
from engine.users import UnknownUser, find_owner

if TYPE_CHECKING:
    from engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A COPY or ADD line with its words expanded."""

    sources: tuple[str, ...]
    heredocs: Mapping[str, str]
    destination: str
    chown: str = ""
    chmod: str = ""
    excludes: tuple[str, ...] = ()
    parents: bool = False
    unpack: bool = False
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A source path that is there."""

    path: str
    is_dir: bool
    is_archive: bool


def transferred(
    session: Session, container: Container, source: Directory, line: Transfer
) -> Lazy[Snapshot]:
    """The container's files after the line."""

    async def compute() -> Snapshot:
        below = container.rootfs
        found = await _found(session, source, line)
        how = Attributes(owner=await _owner(session, container, line.chown), mode=_mode(line.chmod))
        several = len(found) + len(line.heredocs) > 1 or line.destination.endswith("/")
        if len(found) > 1 and not line.destination.endswith("/"):
            raise DockerfileError(
                "When using COPY with more than one source file, the destination "
                f'must be a directory and end with a /: "{line.destination}"'
            )
        for each in found:
            below = _one(session, below, source, each, line, how)
        for url in (s for s in line.sources if _is_url(s)):
            below = _downloaded(session, below, url, line, how)
        for name, contents in line.heredocs.items():
            target = f"{line.destination.rstrip('/')}/{name}" if several else line.destination
            below = files.with_new_file(
                session.snapshots,
                below,
                target,
                contents,
                mode=how.mode if how.mode is not None else 0o644,
                owner=how.owner or (0, 0),
            )
        return await below.get()

    return Lazy(compute)


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


async def _found(session: Session, source: Directory, line: Transfer) -> list[_Found]:
    wanted = [s for s in line.sources if not _is_url(s)]
    if not wanted:
        return []
    snapshot = await source.snapshot.get()

    def find() -> list[_Found]:
        with session.snapshots.view(snapshot) as root:
            return [each for path in wanted for each in _matching(root, source, path, line)]

    return await asyncio.to_thread(find)


def _matching(root: Root, source: Directory, path: str, line: Transfer) -> list[_Found]:
    names = [clean(path)]
    if any(char in path for char in "*?["):
        matcher = Glob(clean(path).lstrip("/"))
        entries = root.walk(source.path)
        names = ["/" + entry.path for entry in entries if matcher.matches(entry.path)]
    made = []
    for name in names:
        where = clean(f"{source.path}/{name}")
        try:
            is_dir = stat.S_ISDIR(root.stat(where).st_mode)
        except OSError:
            raise EngineError(
                "failed to compute cache key: failed to calculate checksum of ref: "
                f'"{name}": not found'
            ) from None
        archive = line.unpack and not is_dir and _is_archive(Path(root.real(where)))
        made.append(_Found(name, is_dir, archive))
    if not made:
        raise EngineError(f'no files match "{path}": not found')
    return made


def _is_archive(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except OSError:
        return False


def _one(
    session: Session,
    below: Lazy[Snapshot],
    source: Directory,
    found: _Found,
    line: Transfer,
    how: Attributes,
) -> Lazy[Snapshot]:
    where = clean(f"{source.path}/{found.path}")
    destination = line.destination
    if line.parents:
        folder = found.path if found.is_dir else os.path.dirname(found.path)
        destination = f"{destination.rstrip('/')}{folder}/"
    if found.is_dir:
        directory = Directory(source.snapshot, where)
        what = files.What(selection=Selection(exclude=line.excludes), how=how)
        return files.with_directory(session.snapshots, below, destination, directory, what)
    if found.is_archive:
        return _unpacked(session, below, destination, File(source.snapshot, where))
    return files.with_file(session.snapshots, below, destination, File(source.snapshot, where), how)


def _unpacked(
    session: Session, below: Lazy[Snapshot], destination: str, archive: File
) -> Lazy[Snapshot]:
    async def compute() -> Snapshot:
        base, origin = await asyncio.gather(below.get(), archive.snapshot.get())

        def unpack() -> Snapshot:
            with session.snapshots.view(origin) as source:
                key = digest("unpack", destination, files.file_key(source, origin, archive.path))
                real = source.real(archive.path)

                def make(root: Root) -> None:
                    root.make_dirs(destination)
                    with _decompressed(real) as tar:
                        unpack_layer(tar, Path(root.real(destination)))

                return session.snapshots.change(base, key, make)

        return await asyncio.to_thread(unpack)

    return Lazy(compute)


def _decompressed(path: str) -> BinaryIO:
    """An archive without the compressions that layers do not have; gzip is the unpacker's."""
    with open(path, "rb") as file:
        magic = file.read(6)
    if magic.startswith(b"BZh"):
        return cast("BinaryIO", bz2.open(path))
    if magic == b"\xfd7zXZ\0":
        return cast("BinaryIO", lzma.open(path))
    return open(path, "rb")


def _downloaded(
    session: Session, below: Lazy[Snapshot], url: str, line: Transfer, how: Attributes
) -> Lazy[Snapshot]:
    async def compute() -> Snapshot:
        def fetch() -> bytes:
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    data: bytes = answer.read()
            except OSError as error:
                raise EngineError(f"failed to load {url}: {error}") from None
            algorithm, _, wanted = line.checksum.partition(":")
            if wanted and hashlib.new(algorithm, data).hexdigest() != wanted:
                raise EngineError(f"digest mismatch for {url}: expected {line.checksum}")
            return data

        data = await asyncio.to_thread(fetch)
        name = os.path.basename(url.split("?")[0].rstrip("/")) or "index"
        target = line.destination
        target = f"{target}{name}" if target.endswith("/") else target
        mode = 0o600 if how.mode is None else how.mode

        def make(root: Root) -> None:
            root.write(target, data, mode=mode, owner=how.owner or (0, 0))

        key = digest("download", target, hashlib.sha256(data).hexdigest(), mode, how.owner)
        base = await below.get()
        return await asyncio.to_thread(session.snapshots.change, base, key, make)

    return Lazy(compute)


async def _owner(session: Session, container: Container, text: str) -> tuple[int, int] | None:
    if not text:
        return None
    name, _, group = text.partition(":")
    if name.isdigit() and (not group or group.isdigit()):
        return int(name), int(group or name)
    snapshot = await container.rootfs.get()

    def find() -> tuple[int, int]:
        with session.snapshots.view(snapshot) as root:
            try:
                return find_owner(root, text)
            except UnknownUser as error:
                raise EngineError(f"invalid user {text}: {error}") from None

    return await asyncio.to_thread(find)


def _mode(text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text, 8)
    except ValueError:
        raise DockerfileError(f"invalid chmod parameter: '{text}'. it should be octal") from None
