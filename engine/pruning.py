"""Pruning the store: what was used least lately goes first, what an engine uses stays."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.liveness import living, remove
from engine.store import Store
from engine.usage import measured

# Below the cap, so that the next engine need not prune again.
_KEPT_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered under one key: which layers and blob it needs, and what made them."""

    key: str
    used: int
    """When it was used last, in nanoseconds."""
    bytes: int
    needs: tuple[str, ...]
    """Paths in the store."""
    what: str


def entries(store: Path) -> list[Entry]:
    """All that is remembered, what was used least lately first."""
    found = []
    for path in store.glob("memo/*/*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            try:
                record = json.loads(path.read_bytes())
            except ValueError:
                record = None
            found.append(_entry(path.name, status, record if isinstance(record, dict) else {}))
    return sorted(found, key=lambda entry: entry.used)


def _entry(key: str, status: os.stat_result, record: dict[str, object]) -> Entry:
    layers = record.get("layers")
    needs = [f"layers/{name}" for name in layers] if isinstance(layers, list) else []
    if "digest" in record:
        needs.append(f"blobs/{record['digest']}")
    what = str(record.get("what", ""))
    return Entry(key, status.st_mtime_ns, status.st_blocks * 512, tuple(needs), what)


def keep_below(store: Store, cap: int) -> int:
    """Prune the store if it takes more than `cap` bytes; the bytes that became free.

    Cache volumes are the last to go: what they hold, nobody can work out again by itself.
    """
    if measured(store.path).total <= cap:
        return 0
    total = measured(store.path, anew=True).total
    if total <= cap:
        return 0
    too_much = total - int(cap * _KEPT_SHARE)
    freed = prune(store, at_most=too_much)
    if freed < too_much:
        freed += prune_volumes(store, at_most=too_much - freed)
    measured(store.path, anew=True)
    return freed


def prune(store: Store, *, unused_since: int | None = None, at_most: int | None = None) -> int:
    """Forget what was used least lately, until `at_most` bytes are free; the bytes that are.

    Nothing that was used after `unused_since` goes, nor after an engine at work has started.
    """
    before = _limit(store, unused_since)
    remembered = entries(store.path)
    users = Counter(path for entry in remembered for path in entry.needs)
    freed = _remove(store, _unneeded(store, users, before))
    for entry in remembered:
        if entry.used >= before or (at_most is not None and freed >= at_most):
            break
        if store.forget(entry.key, entry.used):
            users.subtract(entry.needs)
            freed += entry.bytes + _remove(store, (path for path in entry.needs if not users[path]))
    return freed


def prune_volumes(
    store: Store, *, unused_since: int | None = None, at_most: int | None = None
) -> int:
    """The same with cache volumes."""
    before = _limit(store, unused_since)
    folders = [path for path in store.volumes.iterdir() if path.is_dir()]
    used = {path.name: path.stat().st_mtime_ns for path in folders}
    freed = 0
    for name in sorted(used, key=lambda name: used[name]):
        if used[name] >= before or (at_most is not None and freed >= at_most):
            break
        taken = store.take_volume(name, used[name])
        freed += 0 if taken is None else _delete(taken)
    return freed


def _limit(store: Store, unused_since: int | None) -> int:
    # The store that we opened ourselves is among them: what is used from now on stays.
    limit = min(living(store.path), default=store.started)
    return limit if unused_since is None else min(limit, unused_since)


def _unneeded(store: Store, users: Counter[str], before: int) -> Iterator[str]:
    """Layers and blobs that nothing names, of engines that were killed before they remembered."""
    for part in ("layers", "blobs"):
        for name in os.listdir(store.path / part):
            path = f"{part}/{name}"
            # Its inode changed when it came into place.
            if not users[path] and os.lstat(store.path / path).st_ctime_ns < before:
                yield path


def _remove(store: Store, paths: Iterable[str]) -> int:
    freed = 0
    for path in paths:
        # Whole or not at all, whenever we are killed: what is half removed is not in its place.
        target = store.temporary / path.replace("/", "-")
        with suppress(FileNotFoundError):
            os.rename(store.path / path, target)
            freed += _delete(target)
    return freed


def _delete(path: Path) -> int:
    """Remove a file or a folder; the bytes that became free."""
    try:
        return _deleted(os.fspath(path))
    except (OSError, RecursionError):  # as in `remove`
        remove(path)
        return 0


def _deleted(path: str) -> int:
    status = os.lstat(path)
    freed = status.st_blocks * 512
    if stat.S_ISDIR(status.st_mode):
        with os.scandir(path) as inside:
            freed += sum(_deleted(entry.path) for entry in inside)
        os.rmdir(path)
        return freed
    os.unlink(path)
    return freed if status.st_nlink == 1 else 0  # layers share files by hard links
