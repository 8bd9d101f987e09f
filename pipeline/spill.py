"""Folders for what does not fit into memory: gone with their process, at the latest by the next."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["spill_folder"]

PREFIX = "brewline-spill-"
# Seconds that a process has to lock the folder that it made.
_NEW = 60.0


@contextmanager
def spill_folder() -> Iterator[str]:
    """An empty folder below TMPDIR while the block runs; those that killed processes left go first.

    The lock on it ends with its process, in whatever container that runs.
    """
    _clear_dead()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        with _opened(Path(folder)) as mine:
            # Where folders cannot be locked, as on NFS, nobody takes this one for dead.
            with suppress(OSError):
                fcntl.flock(mine, fcntl.LOCK_EX)
            yield folder


def _clear_dead() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Another user's, one that is locked by the living, or one that has gone meanwhile.
        with suppress(OSError), _opened(folder) as found:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(found).st_mtime > _NEW:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
