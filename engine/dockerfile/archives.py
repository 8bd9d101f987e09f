"""ADD of archives: tar files, in whatever compression, unpacked into a directory of the container.

An archive comes from strangers: nothing is written outside the container, nor outside the
directory by a name of the archive; a link that the container has on the way is followed in it.
"""

from __future__ import annotations

import asyncio
import bz2
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine import files
from engine.dockerfile.errors import DockerfileError
from engine.lazy import Lazy, both
from engine.model import File
from engine.oci.compression import decompressed
from engine.oci.layer import layer_attributes
from engine.oci.streams import BLOCK, DigestReader, LayerError
from engine.root import Root, clean
from engine.snapshot import Snapshot, Snapshots
from engine.store import digest
from engine.tree import Attributes

_DAMAGED = (tarfile.TarError, zlib.error, lzma.LZMAError, LayerError, EOFError, ValueError)
_BZIP2 = b"BZh"
_XZ = b"\xfd7zXZ\0"


def added(
    snapshots: Snapshots, below: Lazy[Snapshot], destination: str, file: File, how: Attributes
) -> Lazy[Snapshot]:
    """The files after an ADD of `file`, which is copied if it is no archive."""

    async def compute() -> Snapshot:
        base, origin = await both(below.get(), file.snapshot.get())
        made = await asyncio.to_thread(_unpacked, snapshots, base, destination, file, origin, how)
        if made is not None:
            return made
        return await files.with_file(snapshots, Lazy.of(base), destination, file, how).get()

    return Lazy(compute)


def _unpacked(
    snapshots: Snapshots,
    base: Snapshot,
    destination: str,
    file: File,
    origin: Snapshot,
    how: Attributes,
) -> Snapshot | None:
    with snapshots.view(origin) as source:
        real = Path(source.real(file.path))
        if not _is_archive(real):
            return None

        def make(root: Root) -> None:
            root.make_dirs(destination, owner=how.owner or (0, 0))
            try:
                with _members(real) as members:
                    _Extraction(root, destination, how.owner).take(members)
            except _DAMAGED as error:
                name = os.path.basename(file.path)
                raise DockerfileError(f"{name} is a damaged archive: {error}") from None

        contents = files.file_key(source, origin, file.path)
        return snapshots.change(base, digest("unpack", destination, contents, how.owner), make)


def _is_archive(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with _members(path) as members:
            return members.next() is not None
    except (*_DAMAGED, OSError):
        return False


@contextmanager
def _members(path: Path) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as file:
        with _plain(file) as plain:
            with tarfile.open(
                fileobj=plain, mode="r|", bufsize=BLOCK, errors="surrogateescape"
            ) as members:
                yield members


@contextmanager
def _plain(file: BinaryIO) -> Iterator[BinaryIO]:
    magic = file.read(len(_XZ))
    file.seek(0)
    if magic.startswith(_BZIP2):
        plain = cast(BinaryIO, bz2.open(file))
    elif magic == _XZ:
        plain = cast(BinaryIO, lzma.open(file))
    else:
        plain, _ = decompressed(DigestReader(file))
    try:
        yield plain
    finally:
        plain.close()


class _Extraction:
    """What an archive holds, as files below `top`; with `owner` all of it is that user's."""

    def __init__(self, root: Root, top: str, owner: tuple[int, int] | None) -> None:
        self._root = root
        self._top = top
        self._owner = owner
        self._members: tarfile.TarFile
        self._times: list[tuple[str, int]] = []

    def take(self, members: tarfile.TarFile) -> None:
        self._members = members
        while (info := members.next()) is not None:
            self._member(info)
            cast(Any, members).members.clear()  # or every entry would stay in memory
        # Writing into a directory moves its time, so these come last, the innermost first.
        for path, time in reversed(self._times):
            with suppress(OSError), self._root.parent(path) as (fd, name):
                os.utime(name, (time, time), dir_fd=fd, follow_symlinks=False)

    def _member(self, info: tarfile.TarInfo) -> None:
        path = self._place(info.name)
        if path == clean(self._top):
            return
        self._root.make_dirs(os.path.dirname(path))
        with self._root.parent(path) as (folder, name):
            if info.islnk():
                self._link(folder, name, info)
                return
            _clear(folder, name, keep_directory=info.isdir())
            if info.isdir():
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
                self._times.append((path, int(info.mtime)))
            elif info.isreg():
                self._file(folder, name, info)
            elif info.issym():
                os.symlink(info.linkname, name, dir_fd=folder)
            elif info.isfifo():
                os.mkfifo(name, dir_fd=folder)
            else:
                return  # a device: a container could open the machine's disk by it
            self._finish(folder, name, info)

    def _place(self, name: str) -> str:
        if ".." in name.split("/"):
            raise ValueError(f"the name {name!r} leads out of it")
        return clean(f"{self._top}/{name}")

    def _file(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(name, flags, 0o600, dir_fd=folder), "wb", buffering=0) as file:
            content = self._members.extractfile(info)
            if content is not None:
                shutil.copyfileobj(content, file, BLOCK)

    def _link(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        try:
            with self._root.parent(self._place(info.linkname)) as (source, target):
                here, there = (source, target), (folder, name)
                if not _same(here, there):
                    _clear(folder, name, keep_directory=False)
                    os.link(
                        *(target, name),
                        src_dir_fd=source,
                        dst_dir_fd=folder,
                        follow_symlinks=False,
                    )
        except FileNotFoundError:
            raise ValueError(
                f"{info.name} is a link to {info.linkname}, which it does not hold"
            ) from None

    def _finish(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        owner = self._owner or (info.uid, info.gid)
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)
        if not info.issym():
            os.chmod(name, stat.S_IMODE(info.mode), dir_fd=folder)
        if info.isreg():
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                for attribute, value in layer_attributes(info).items():
                    os.setxattr(fd, attribute, value)
            finally:
                os.close(fd)
        times = (int(info.mtime), int(info.mtime))
        os.utime(name, times, dir_fd=folder, follow_symlinks=False)


def _same(left: tuple[int, str], right: tuple[int, str]) -> bool:
    try:
        there = os.lstat(right[1], dir_fd=right[0])
    except FileNotFoundError:
        return False
    return os.path.samestat(os.lstat(left[1], dir_fd=left[0]), there)


def _clear(folder: int, name: str, *, keep_directory: bool) -> None:
    """Make room for an entry, as in Docker: a directory takes the place of a link to one."""
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=folder)
    elif not keep_directory:
        shutil.rmtree(name, dir_fd=folder)
