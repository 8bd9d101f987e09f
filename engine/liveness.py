"""Engines at work in a store: each has a temporary folder with a file that it keeps locked."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

_UPKEEP = "-upkeep"


def begin(store: Path, *, upkeep: bool = False) -> tuple[Path, int]:
    """A temporary folder of our own, and the descriptor that keeps it as long as it is open."""
    name = f"{os.getpid()}-{os.urandom(4).hex()}"
    temporary = store / "tmp" / (name + _UPKEEP if upkeep else name)
    temporary.mkdir(parents=True)
    alive = os.open(temporary / "alive", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(alive, fcntl.LOCK_EX)
    return temporary, alive


def living(store: Path, *, upkeep: bool = True) -> list[int]:
    """When the engines that are at work in the store started, in nanoseconds.

    `upkeep` counts what prunes or tidies the store among them.
    """
    started = []
    for alive in store.glob("tmp/*/alive"):
        if not upkeep and alive.parent.name.endswith(_UPKEEP):
            continue
        with suppress(FileNotFoundError):
            fd = os.open(alive, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                started.append(os.fstat(fd).st_mtime_ns)
            finally:
                os.close(fd)
    return started


def sweep(store: Path) -> None:
    """Remove the temporary folders of engines that are gone."""
    for folder in store.glob("tmp/*"):
        try:
            fd = os.open(folder / "alive", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            remove(folder)  # its engine died while it started
            continue
        try:
            # Shared, as in `living`: two who look must not take each other for an engine.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            remove(folder)
        except BlockingIOError:
            pass  # its engine lives
        finally:
            os.close(fd)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there, as far as that is possible."""
    import shutil  # imported late: an engine's start seldom has something to remove
    import subprocess

    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass
    except (OSError, RecursionError):  # folders deeper than Python goes
        subprocess.run(["rm", "-rf", "--", path], capture_output=True, check=False)
