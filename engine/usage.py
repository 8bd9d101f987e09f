"""How much room the parts of a store take, how much they may take, and how much is left."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.liveness import living
from engine.settings import Settings

_CAP = 20 * 10**9
_SHARE_OF_DISK = 0.2
_LITTLE, _LITTLE_SHARE = 500 * 10**6, 0.05
_NOTHING, _NOTHING_SHARE = 16 * 10**6, 0.01
_SAVED_EVERY = 1.0
_ESTIMATE = "usage"


@dataclass(frozen=True, slots=True)
class Usage:
    """The bytes that a store takes, by name where there are names."""

    layers: dict[str, int]
    blobs: dict[str, int]
    volumes: dict[str, int]
    memo: int

    @property
    def parts(self) -> dict[str, int]:
        """The bytes of each part."""
        return {
            "layers": sum(self.layers.values()),
            "blobs": sum(self.blobs.values()),
            "volumes": sum(self.volumes.values()),
            "memo": self.memo,
        }

    @property
    def total(self) -> int:
        """The bytes of all parts."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk that a store is on: its size, and what is left of it, in bytes."""

    size: int
    free: int

    @classmethod
    def of(cls, path: Path) -> Disk:
        """The disk of `path`, or of the nearest folder above it that is there."""
        while not path.exists():
            path = path.parent
        found = os.statvfs(path)
        return cls(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    @property
    def full(self) -> bool:
        """Whether a command that just failed may have failed for lack of room."""
        return self.free < min(_NOTHING, self.size * _NOTHING_SHARE)

    @property
    def nearly_full(self) -> bool:
        """Whether a run may well fail for lack of room."""
        return self.free < min(_LITTLE, self.size * _LITTLE_SHARE)


def cap(settings: Settings) -> int:
    """The bytes that the store may take: what is set, or 20 GB or 20 % of its disk."""
    if settings.store_size is not None:
        return settings.store_size
    return min(_CAP, int(Disk.of(settings.store).size * _SHARE_OF_DISK))


def lack_of_room(settings: Settings) -> str:
    """A sentence for whoever runs out of disk: what the store takes, and what to do."""
    free = readable(Disk.of(settings.store).free)
    used = readable(measured(settings.store).total)
    return (
        f"only {free} are free on the disk of the engine's store {settings.store}, and the "
        f"{used} of the store (it may take {readable(cap(settings))}) are kept: free some room, "
        "run `engine prune`, or name a folder on another disk in BREWLINE_STORE"
    )


def measured(store: Path, *, anew: bool = False) -> Usage:
    """The room that each part takes; what cannot have changed since it was measured is known.

    Layers share files by hard links, and each has its share of such a file. Shares that are known
    grow too large in sum as links are added and too small as layers are removed: who acts on them,
    or removes layers, measures `anew`.
    """
    sizes = _Sizes(store, anew=anew)
    layers = {name: sizes.of(f"layers/{name}") for name in _names(store / "layers")}
    volumes = {}
    oldest = min(living(store), default=None)
    for name in _names(store / "volumes"):
        path = f"volumes/{name}"
        used = (store / path).stat().st_mtime_ns
        # An engine at work may write to it, after it was measured too.
        final = oldest is None or used < oldest
        volumes[name] = sizes.of(path, f"{path} {used}") if final else size(store / path)
    blobs = {name: size(store / "blobs" / name) for name in _names(store / "blobs")}
    sizes.keep(whole=True)
    found = Usage(layers, blobs, volumes, size(store / "memo"))
    with suppress(OSError):  # read-only, or no room
        (store / _ESTIMATE).write_text(f"{found.total} {Disk.of(store).free}")
    return found


def outgrown(settings: Settings) -> bool:
    """Whether the store may take more than its cap, by a look at the disk alone.

    It took so much when it was measured last, and what is gone of the disk since then at most.
    """
    disk = Disk.of(settings.store)
    try:
        total, free = map(int, (settings.store / _ESTIMATE).read_text().split())
    except (OSError, ValueError):
        total, free = 0, disk.size  # never measured: all of the disk may be the store's
    return total + max(0, free - disk.free) > cap(settings)


class _Sizes:
    """Sizes that do not change any more, kept in a file, since working them out takes long.

    The engine that has it done may end before: what is known by then is kept too.
    """

    def __init__(self, store: Path, *, anew: bool) -> None:
        self._store = store
        self._anew = anew
        self._file = store / "usage.json"
        try:
            kept = json.loads(self._file.read_text())
            known, self._cut_short = dict(kept["sizes"]), bool(kept["cut_short"])
        except (OSError, ValueError, KeyError, TypeError):
            known, self._cut_short = {}, False
        self._known: dict[str, int] = {} if anew and not self._cut_short else known
        self._asked: dict[str, int] = {}
        self._saved = time.monotonic()

    def of(self, path: str, name: str = "") -> int:
        """The size of a path of the store, known by `name` if that is another."""
        name = name or path
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = size(self._store / path)
            if time.monotonic() > self._saved + _SAVED_EVERY:
                self.keep(whole=False)
        self._asked[name] = found
        return found

    def keep(self, *, whole: bool) -> None:
        """Write down the sizes: when `whole`, only those that were asked for."""
        self._saved = time.monotonic()
        # A measurement anew that was cut short is gone on with, and not begun again for ever.
        cut_short = not whole if self._anew else self._cut_short
        kept = {"cut_short": cut_short, "sizes": self._asked if whole else self._known}
        draft = self._file.with_name(f"usage.json.{os.urandom(6).hex()}")
        with suppress(OSError):  # read-only, or no room
            draft.write_text(json.dumps(kept))
            draft.replace(self._file)
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def size(path: Path | str) -> int:
    """The bytes of disk of all below a path; of a file that has links elsewhere, its share."""
    total, pending = 0, [os.fspath(path)]
    with suppress(FileNotFoundError):
        top = os.lstat(path)
        total = top.st_blocks * 512
        if not os.path.isdir(path):
            return total // top.st_nlink
    while pending:
        # What is not there any more was pruned or finished meanwhile; a path may be too long.
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                        total += status.st_blocks * 512
                    else:
                        total += status.st_blocks * 512 // (status.st_nlink or 1)
    return total


def readable(count: float) -> str:
    """Bytes for people, in decimal units."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        # Beside the volumes lie their locks.
        return [name for name in os.listdir(folder) if not name.endswith(".lock")]
    return []
