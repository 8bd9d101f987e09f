"""The system calls that Python does not offer: mounts, namespaces, paths inside a root."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REC = 16384
MNT_DETACH = 2
CLONE_NEWNET = 0x40000000

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError."""
    done = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None
    )
    _check(done, target)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2). Raises OSError."""
    _check(_libc.umount2(target.encode(), flags), target)


def setns(fd: int, kind: int) -> None:
    """setns(2) for the calling thread. Raises OSError."""
    _check(_libc.setns(fd, kind), "setns")


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` with `root` (a directory's descriptor) as the root directory.

    No symbolic link and no `..` leads out of it (openat2(2), RESOLVE_IN_ROOT). Raises OSError.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    fd = _libc.syscall(_SYS_OPENAT2, root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    return _check(fd, path)
