"""Small upper directories and layers for the tests of this folder."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="device nodes and trusted attributes need root"
)


def describe(root: Path) -> dict[str, str]:
    """Everything below `root`: kind, mode, owner, time, content and attributes."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes().decode("latin-1")
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif not stat.S_ISDIR(status.st_mode):
            content = str(status.st_rdev)
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False).hex()
            for name in os.listxattr(path, follow_symlinks=False)
        }
        found[str(path.relative_to(root))] = (
            f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} "
            f"{int(status.st_mtime)} {content!r} {attributes or ''}"
        )
    return found


def layer(entries: Iterable[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]) -> io.BytesIO:
    """A plain layer of these entries, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info, data = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    """One entry of a layer."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def folder(name: str) -> tarfile.TarInfo:
    """A directory's entry."""
    return entry(name, tarfile.DIRTYPE)


def link(name: str, target: str, *, hard: bool = False) -> tarfile.TarInfo:
    """A link's entry, symbolic unless `hard`."""
    return entry(name, tarfile.LNKTYPE if hard else tarfile.SYMTYPE, linkname=target)
