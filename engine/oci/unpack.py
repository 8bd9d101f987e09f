"""From a layer as registries keep it to a directory that an overlay can take as a layer.

A layer comes from strangers: nothing is ever written outside the directory.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.oci.compression import decompressed
from engine.oci.folders import DIRECTORY, OVERLAY_OPAQUE, Folders, clear
from engine.oci.layer import OPAQUE, WHITEOUT, Layer, layer_attributes, media_type
from engine.oci.streams import BLOCK, DigestReader, LayerError

_AUFS = ".wh..wh."


def unpack(source: BinaryIO, directory: Path, *, digest: str = "", diff_id: str = "") -> Layer:
    """Unpack the layer `source` (a tar: gzip, zstd or plain) into the empty `directory`.

    Needs root. Raises LayerError for what is no layer, for names that lead out of `directory`,
    and where the content has another `digest` or `diff_id` than the given one.
    """
    blob = DigestReader(source)
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        plain, compression = decompressed(blob)
        with closing(plain):
            tar = DigestReader(plain)
            with tarfile.open(
                fileobj=tar,
                mode="r|",
                bufsize=BLOCK,
                encoding="utf-8",
                errors="surrogateescape",
            ) as members:
                _Unpacker(root, members).run()
            tar.drain()
            blob.drain()
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise LayerError(f"this is no layer, or a damaged one: {error}") from None
    except OSError as error:
        raise LayerError(f"the layer cannot be unpacked: {error}") from error
    finally:
        os.close(root)
    _check("digest", digest, blob.digest)
    _check("diff id", diff_id, tar.digest)
    kind = media_type(compression)
    return Layer(digest=blob.digest, diff_id=tar.digest, size=blob.size, media_type=kind)


def _check(what: str, expected: str, found: str) -> None:
    if expected and expected != found:
        raise LayerError(f"the layer's {what} is {found}, not {expected}")


# null, zero, full, random, urandom, tty, ptmx
_HARMLESS_DEVICES = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)}


class _Unpacker:
    def __init__(self, root: int, members: tarfile.TarFile) -> None:
        self._root = root
        self._folders = Folders(root)
        self._members = members
        self._times: list[tuple[str, int]] = []

    def run(self) -> None:
        try:
            while (info := self._members.next()) is not None:
                self._member(info)
                cast(Any, self._members).members.clear()  # or every entry would stay in memory
            # Writing into a directory moves its time, so these come last, the innermost first.
            for path, time in reversed(self._times):
                self._set_directory_time(path, time)
        finally:
            self._folders.close()

    def _member(self, info: tarfile.TarInfo) -> None:
        path = _clean(info.name)
        if not path:
            self._finish_directory(self._root, info)
            self._times.append(("", _nanoseconds(info)))
            return
        folder_path, _, name = path.rpartition("/")
        folder = self._folders.at(folder_path)
        if name == OPAQUE:
            os.setxattr(folder, OVERLAY_OPAQUE, b"y")
        elif name.startswith(_AUFS):
            pass  # another storage driver's own bookkeeping
        elif name.startswith(WHITEOUT):
            self._whiteout(folder, _clean(name.removeprefix(WHITEOUT), single=True))
        else:
            self._create(folder, name, path, info)

    def _create(self, folder: int, name: str, path: str, info: tarfile.TarInfo) -> None:
        if info.islnk():
            self._link(folder, name, info)
            return
        hides_below = clear(folder, name, keep_directory=info.isdir())
        if info.isdir():
            self._directory(folder, name, info, opaque=hides_below)
            self._times.append((path, _nanoseconds(info)))
            return
        if info.isreg():
            self._file(folder, name, info)
        elif info.issym():
            os.symlink(info.linkname, name, dir_fd=folder)
            os.chown(name, info.uid, info.gid, dir_fd=folder, follow_symlinks=False)
        else:
            self._special(folder, name, info)
        times = (_nanoseconds(info), _nanoseconds(info))
        os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)

    def _directory(self, folder: int, name: str, info: tarfile.TarInfo, *, opaque: bool) -> None:
        try:
            os.mkdir(name, dir_fd=folder)
        except FileExistsError:
            pass
        fd = os.open(name, DIRECTORY, dir_fd=folder)
        try:
            if opaque:
                os.setxattr(fd, OVERLAY_OPAQUE, b"y")
            self._finish_directory(fd, info)
        finally:
            os.close(fd)

    def _finish_directory(self, fd: int, info: tarfile.TarInfo) -> None:
        os.fchown(fd, info.uid, info.gid)
        os.fchmod(fd, stat.S_IMODE(info.mode))
        _set_attributes(fd, info)

    def _file(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(name, flags, 0o600, dir_fd=folder), "wb", buffering=0) as file:
            content = self._members.extractfile(info)
            while content is not None and (data := content.read(BLOCK)):
                file.write(data)
            os.fchown(file.fileno(), info.uid, info.gid)
            os.fchmod(file.fileno(), stat.S_IMODE(info.mode))
            _set_attributes(file.fileno(), info)  # last: a change of owner takes capabilities

    def _link(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        target_folder, _, target = _clean(info.linkname).rpartition("/")
        source = self._folders.open(target_folder)
        try:
            if not _same(source, target, folder, name):
                clear(folder, name, keep_directory=False)
                os.link(target, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise LayerError(
                f"{info.name} is a link to {info.linkname}, which the layer does not hold"
            ) from None
        finally:
            os.close(source)

    def _special(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        kinds = {
            tarfile.FIFOTYPE: stat.S_IFIFO,
            tarfile.CHRTYPE: stat.S_IFCHR,
            tarfile.BLKTYPE: stat.S_IFBLK,
        }
        if info.type not in kinds:
            raise LayerError(f"{info.name} is of a kind that no layer may hold")
        number = (info.devmajor, info.devminor)
        if info.isblk() or (info.ischr() and number not in _HARMLESS_DEVICES):
            return  # a container could open the machine's disk by it; each has its own /dev anyway
        device = 0 if info.isfifo() else os.makedev(info.devmajor, info.devminor)
        os.mknod(name, kinds[info.type] | 0o600, device, dir_fd=folder)
        os.chown(name, info.uid, info.gid, dir_fd=folder, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(info.mode), dir_fd=folder)

    def _whiteout(self, folder: int, name: str) -> None:
        """Hide `name` of the layers below; what this layer itself holds there stays."""
        try:
            status = os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)
            return
        if stat.S_ISDIR(status.st_mode):
            fd = os.open(name, DIRECTORY, dir_fd=folder)
            try:
                os.setxattr(fd, OVERLAY_OPAQUE, b"y")
            finally:
                os.close(fd)

    def _set_directory_time(self, path: str, time: int) -> None:
        try:
            fd = self._folders.open(path)
        except OSError:
            return  # another entry has taken its place since
        os.utime(fd, ns=(time, time))
        os.close(fd)


def _clean(name: str, *, single: bool = False) -> str:
    """`name` without `/` and `.` that mean nothing; refuses what leads upwards."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or (single and len(parts) != 1):
        raise LayerError(f"the name {name!r} leads out of the layer")
    return "/".join(parts)


def _same(folder: int, name: str, other_folder: int, other: str) -> bool:
    try:
        there = os.lstat(other, dir_fd=other_folder)
    except FileNotFoundError:
        return False
    here = os.lstat(name, dir_fd=folder)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _set_attributes(fd: int, info: tarfile.TarInfo) -> None:
    for name, value in layer_attributes(info).items():
        os.setxattr(fd, name, value)


def _nanoseconds(info: tarfile.TarInfo) -> int:
    return int(info.mtime * 10**9)
