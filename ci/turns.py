"""Turns: runs of this machine that would use the same volumes come one after the other."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio

from ci.errors import InfrastructureError

_LOOK_SECONDS = 0.2


@contextlib.asynccontextmanager
async def turn(file: Path, key: str, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the turn of `key`, which is hexadecimal; whoever has to wait for it is told so.

    The kernel takes it back from a process that ends, however it ends. One file serves all keys:
    each locks a byte of its own, at a place that need not exist. Raises InfrastructureError where
    there can be no such file.
    """
    place = int(key[:12], 16)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InfrastructureError(
            f"{file} cannot be written ({error.strerror}): XDG_CACHE_HOME may name another folder."
        ) from error
    try:
        told = False
        while not _taken(fd, place):
            if not told:
                tell("another run of the same content is at work: waiting for what it comes to")
            told = True
            await anyio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(fd)


def _taken(fd: int, place: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return False
    return True
