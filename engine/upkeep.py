"""The store's upkeep by hand and by itself: what takes room in it, and giving it back."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.kept import forget_unused
from engine.liveness import living
from engine.pruning import entries, keep_below, prune, prune_volumes
from engine.settings import Settings
from engine.store import Store
from engine.usage import Disk, Usage, cap, lack_of_room, measured, readable, size

_BIGGEST = 10
_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))


@dataclass(frozen=True, slots=True)
class Part:
    """Something of a size in the store: what it is or what made it, and its last use."""

    bytes: int
    what: str
    used: float
    """In seconds since 1970."""


def _settings() -> Settings:
    return Settings.from_env(os.environ, Path.cwd())


def info(*, as_json: bool) -> int:
    """Say what takes room in the store."""
    settings = _settings()
    store, disk = settings.store, Disk.of(settings.store)
    usage = measured(store, anew=True)
    parts = {**usage.parts, "tmp": size(store / "tmp")}
    biggest, volumes = _biggest(store, usage), _volumes(store, usage)
    engines = len(living(store, upkeep=False))
    if as_json:
        facts = {
            "store": str(store),
            "bytes": parts,
            "total": usage.total,
            "cap": cap(settings),
            "free": disk.free,
            "engines": engines,
            "biggest": [asdict(part) for part in biggest],
            "volumes": [asdict(part) for part in volumes],
        }
        print(json.dumps(facts))
        return 0
    print(f"{store}: {readable(usage.total)} of at most {readable(cap(settings))}")
    print(f"{readable(disk.free)} are free on its disk; engines at work: {engines}")
    for name, count in parts.items():
        print(f"  {name:8} {readable(count):>9}")
    _list("The biggest layers and blobs, when they were used last, and what made them:", biggest)
    _list("The biggest cache volumes:", volumes)
    return 0


def _list(title: str, parts: list[Part]) -> None:
    if parts:
        print(title)
    for part in parts[:_BIGGEST]:
        print(f"  {readable(part.bytes):>9}  {_last_use(part.used):>14}  {part.what}")


def _last_use(when: float) -> str:
    if not when:
        return "not any more"
    seconds = time.time() - when
    for unit, name in _UNITS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "just now"


def _biggest(store: Path, usage: Usage) -> list[Part]:
    sizes = {f"layers/{name}": count for name, count in usage.layers.items()}
    sizes |= {f"blobs/{name}": count for name, count in usage.blobs.items()}
    # What needs a layer and little else is what made it; what builds on it uses it too.
    made: dict[str, tuple[int, str]] = {}
    used: dict[str, float] = defaultdict(float)
    for entry in entries(store):
        for path in entry.needs:
            used[path] = max(used[path], entry.used / 1e9)
            found = (len(entry.needs), entry.what)
            if entry.what and (path not in made or found < made[path]):
                made[path] = found
    biggest = sorted(sizes, key=lambda path: -sizes[path])[:_BIGGEST]
    return [Part(sizes[p], made.get(p, (0, p))[1], used[p]) for p in biggest]


def _volumes(store: Path, usage: Usage) -> list[Part]:
    found = []
    for folder, count in usage.volumes.items():
        path, name = store / "volumes" / folder, folder
        with suppress(FileNotFoundError):
            name = (path / "name").read_text()
        with suppress(FileNotFoundError):
            found.append(Part(count, name, path.stat().st_mtime))
    return sorted(found, key=lambda part: -part.bytes)


def prune_by_hand(*, volumes: bool, older_than: float) -> int:
    """Remove what no engine at work uses and nobody used for `older_than` seconds."""
    settings = _settings()
    if not settings.store.exists():
        print(f"{settings.store} is not there: nothing to prune")
        return 0
    store = Store(settings.store, upkeep=True)
    try:
        since = time.time_ns() - int(older_than * 1e9)
        engines = living(store.path, upkeep=False)
        with store.lock("prune"):
            freed = prune(store, unused_since=since)
            freed += prune_volumes(store, unused_since=since) if volumes else 0
            usage = measured(store.path, anew=True)
        notes = [f"freed {readable(freed)} in {store.path}, {readable(usage.total)} are left"]
        notes += [] if volumes else ["cache volumes stay"]
        notes += ["what engines at work use stays"] if engines else []
        print("; ".join(notes))
        return 0
    finally:
        store.close()


def tidy() -> int:
    """What every engine has done now and then: keep the store below its cap.

    A full disk is no reason to remove anything: others may have filled it. It is said instead.
    """
    # It must not slow down what it is done for, and still be done on a machine that is busy.
    os.nice(10)
    settings = _settings()
    store = Store(settings.store, upkeep=True)
    try:
        with store.lock("prune"):
            keep_below(store, cap(settings))
            forget_unused(store.path)
        if Disk.of(store.path).nearly_full:
            print(lack_of_room(settings))
        return 0
    finally:
        store.close()
