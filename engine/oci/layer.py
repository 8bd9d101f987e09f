"""From an overlay's upper directory to a layer as registries keep it: a tar, compressed.

Equal trees give equal bytes. What an overlay says with devices and attributes, a layer says with
names: `.wh.NAME` for what is gone, `.wh..wh..opq` for a directory that hides those below it.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.oci.compression import compressor, decompressed
from engine.oci.streams import BLOCK, DigestReader, DigestWriter, LayerError, Writer

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
TAR_LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER = f"{TAR_LAYER}+gzip"
ZSTD_LAYER = f"{TAR_LAYER}+zstd"

_OVERLAYS = ("trusted.overlay.", "user.overlay.")
_XATTR = "SCHILY.xattr."


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer's blob: the digest of it as it is, and (`diff_id`) of the tar inside."""

    digest: str
    diff_id: str
    size: int
    media_type: str = GZIP_LAYER


def media_type(compression: str) -> str:
    """The media type of a layer compressed by "gzip", "zstd" or, as it is, ""."""
    return f"{TAR_LAYER}+{compression}" if compression else TAR_LAYER


def pack(
    upper: Path, target: Writer, *, epoch: int | None = None, compression: str = "gzip"
) -> Layer:
    """Write the layer that the upper directory `upper` is to `target`, in one pass.

    With `epoch`, in seconds, no file is younger. Sockets are left out. Raises LayerError.
    """

    def write(plain: DigestWriter) -> None:
        with tarfile.open(
            fileobj=plain,  # type: ignore[call-overload]  # it only writes and tells
            mode="w",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
            copybufsize=BLOCK,
        ) as tar:
            _Packer(upper, tar, epoch).run()

    return _compressed(write, target, compression)


def repack(source: BinaryIO, target: Writer, *, compression: str) -> Layer:
    """Write the layer `source`, compressed somehow, to `target` in another compression."""

    def write(plain: DigestWriter) -> None:
        with closing(decompressed(DigestReader(source))[0]) as content:
            while data := content.read(BLOCK):
                plain.write(data)

    return _compressed(write, target, compression)


def _compressed(write: Callable[[DigestWriter], None], target: Writer, compression: str) -> Layer:
    blob = DigestWriter(target)
    with closing(compressor(blob, compression)) as compressed:
        plain = DigestWriter(compressed)
        write(plain)
        compressed.finish()
    return Layer(
        digest=blob.digest,
        diff_id=plain.digest,
        size=blob.size,
        media_type=media_type(compression),
    )


def kept_attribute(name: str) -> bool:
    """Whether a layer carries the extended attribute `name`."""
    if name.startswith(_OVERLAYS):
        return False
    return name == "security.capability" or name.startswith("user.")


class _Packer:
    def __init__(self, upper: Path, tar: tarfile.TarFile, epoch: int | None) -> None:
        self._upper = str(upper)
        self._tar = tar
        self._epoch = epoch
        self._first_links: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        self._check_directory(self._upper)
        if is_opaque(self._upper):
            self._mark(OPAQUE)
        for path, name, status in self._entries():
            self._add(path, name, status)

    def _entries(self) -> Iterator[tuple[str, str, os.stat_result]]:
        """Every entry with its path and its name in the layer, directories before their own."""
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            if prefix:
                path = f"{self._upper}/{prefix}"
                status = os.lstat(path)
                yield path, prefix, status
                if not stat.S_ISDIR(status.st_mode):
                    continue
            names = os.listdir(f"{self._upper}/{prefix}")
            names.sort(key=os.fsencode, reverse=True)
            waiting += [f"{prefix}/{name}" if prefix else name for name in names]

    def _add(self, path: str, name: str, status: os.stat_result) -> None:
        mode = status.st_mode
        if stat.S_ISSOCK(mode):
            return
        if is_whiteout(status):
            folder, _, base = name.rpartition("/")
            self._mark(f"{folder}/{WHITEOUT}{base}" if folder else WHITEOUT + base)
            return
        info = self._info(path, name, status)
        if stat.S_ISREG(mode) and not info.islnk():
            self._add_file(path, info)
            return
        self._tar.addfile(info)
        if stat.S_ISDIR(mode):
            self._check_directory(path)
            if is_opaque(path):
                self._mark(f"{name}/{OPAQUE}")

    def _info(self, path: str, name: str, status: os.stat_result) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        info.mtime = self._time(status)
        info.pax_headers = _attributes(path)
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
            return info
        first = self._first_links.get((status.st_dev, status.st_ino))
        if first is not None:
            info.type, info.linkname, info.pax_headers = tarfile.LNKTYPE, first, {}
            return info
        if status.st_nlink > 1:
            self._first_links[status.st_dev, status.st_ino] = name
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        elif stat.S_ISFIFO(status.st_mode):
            info.type = tarfile.FIFOTYPE
        elif not stat.S_ISREG(status.st_mode):
            info.type = tarfile.CHRTYPE if stat.S_ISCHR(status.st_mode) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        else:
            info.size = status.st_size
        return info

    def _add_file(self, path: str, info: tarfile.TarInfo) -> None:
        if "trusted.overlay.metacopy" in os.listxattr(path, follow_symlinks=False):
            raise LayerError(
                f"{info.name}: its content is in another layer; mount overlays with metacopy=off"
            )
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
            self._tar.addfile(info, file)

    def _mark(self, name: str) -> None:
        """An empty file whose name is the message; it has no time of its own."""
        self._tar.addfile(tarfile.TarInfo(name))

    def _time(self, status: os.stat_result) -> int:
        seconds = status.st_mtime_ns // 10**9
        return seconds if self._epoch is None else min(seconds, self._epoch)

    def _check_directory(self, path: str) -> None:
        if any(_overlay_attribute(path, "redirect")):
            raise LayerError(
                f"{path} was renamed from another layer; mount overlays with redirect_dir=off"
            )


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an entry of an upper directory says that the name is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: str) -> bool:
    """Whether a directory of an upper directory hides what is below it."""
    return b"y" in _overlay_attribute(path, "opaque")


def _overlay_attribute(path: str, name: str) -> list[bytes]:
    wanted = [prefix + name for prefix in _OVERLAYS]
    present = os.listxattr(path, follow_symlinks=False)
    return [os.getxattr(path, full, follow_symlinks=False) for full in wanted if full in present]


def _attributes(path: str) -> dict[str, str]:
    names = sorted(filter(kept_attribute, os.listxattr(path, follow_symlinks=False)))
    return {
        _XATTR
        + name: os.getxattr(path, name, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for name in names
    }


def layer_attributes(info: tarfile.TarInfo) -> dict[str, bytes]:
    """The extended attributes of an entry of a layer that a layer may carry."""
    found = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in info.pax_headers.items()
        if key.startswith(_XATTR)
    }
    return {name: value for name, value in found.items() if kept_attribute(name)}
