"""What takes room in the store, and giving it back."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

from engine.settings import Settings

_PARTS = ("layers", "blobs", "volumes", "memo", "tmp")


def _store() -> Path:
    return Settings.from_env(os.environ, Path.cwd()).store


def info(*, as_json: bool) -> int:
    """Say how much room each part of the store takes."""
    store = _store()
    sizes = {part: _bytes(store / part) for part in _PARTS}
    if as_json:
        print(json.dumps({"store": str(store), "bytes": sizes}))
        return 0
    print(f"store  {store}")
    for part, size in sizes.items():
        print(f"{part:8} {size / 1e6:10.1f} MB")
    print(f"{'total':8} {sum(sizes.values()) / 1e6:10.1f} MB")
    return 0


def prune() -> int:
    """Remove everything but cache volumes, unless an engine is at work in the store."""
    store = _store()
    if not store.exists():
        print(f"{store} is not there: nothing to prune")
        return 0
    if _in_use(store):
        print(f"an engine is at work in {store}: try again when it has ended")
        return 3
    before = _bytes(store)
    for part in ("memo", "layers", "blobs", "tmp"):
        shutil.rmtree(store / part, ignore_errors=True)
    print(f"freed {(before - _bytes(store)) / 1e6:.1f} MB in {store}; cache volumes stay")
    return 0


def _in_use(store: Path) -> bool:
    for alive in store.glob("tmp/*/alive"):
        fd = os.open(alive, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def _bytes(path: Path) -> int:
    """Disk blocks below a path; files that layers share are counted once."""
    seen: set[int] = set()
    total = 0
    for folder, names, files in os.walk(path):
        for name in names + files:
            try:
                status = os.lstat(os.path.join(folder, name))
            except FileNotFoundError:
                continue  # an engine is at work
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
