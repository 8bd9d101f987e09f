"""Snapshots: file systems as stacks of layers, looked at and changed through overlayfs."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import linux
from engine.explanation import Lineage
from engine.root import Root
from engine.store import Store, digest

# 1,000 look-ups of missing names cost 5 ms at 1 layer, 100 ms at 120: merge before that, and long
# before a mount's page of options is full.
_MOST_LAYERS = 64
_MERGED_AT_ONCE = 32
_RECENT_SECONDS = 1800
_BUSY_TRIES = 200
_BUSY_SECONDS = 0.005

# No redirects and no metadata-only copies: a layer must mean the same to `tar` as to the kernel.
_OPTIONS = "redirect_dir=off,metacopy=off,index=off"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file system: its layers, the lowest first, and the key that stands for its contents.

    `plain`: made of files whose contents are known, by no command, so that a digest of a part of
    it is a better key for that part than the key of the whole.
    """

    layers: tuple[str, ...]
    key: str
    plain: bool = True


EMPTY = Snapshot((), "empty")


@dataclass(frozen=True, slots=True)
class Active:
    """A snapshot mounted for writing: the merged view, and the layer that takes the changes."""

    merged: str
    upper: Path


class Snapshots:
    """The snapshots of a store, mounted below `mounts` (a folder in a private mount namespace)."""

    def __init__(self, store: Store, mounts: Path) -> None:
        self.store = store
        self.lineage = Lineage()
        self._mounts = mounts
        self._numbers = itertools.count()
        self._nothing = mounts / "empty"
        self._nothing.mkdir(parents=True)
        # Layers are named relative to this folder: a mount takes one page of options.
        os.chdir(store.layers)

    @contextmanager
    def view(self, snapshot: Snapshot) -> Iterator[Root]:
        """The snapshot, for reading."""
        with self._mounted_for_reading(snapshot) as path, Root(path) as root:
            yield root

    @contextmanager
    def _mounted_for_reading(self, snapshot: Snapshot) -> Iterator[str]:
        if not snapshot.layers:
            yield str(self._nothing)
        elif len(snapshot.layers) == 1:
            yield str(self.store.layers / snapshot.layers[0])
        else:
            with self._mount(f"{_lower(snapshot)},{_OPTIONS}", linux.MS_RDONLY) as path:
                yield path

    @contextmanager
    def active(self, snapshot: Snapshot) -> Iterator[Active]:
        """The snapshot, for writing; the changes are lost unless `commit` keeps them."""
        folder = self.store.folder("active")
        upper, work = folder / "upper", folder / "work"
        upper.mkdir()
        work.mkdir()
        self._copy_root_attributes(snapshot, upper)
        lower = _lower(snapshot) if snapshot.layers else f"lowerdir={self._nothing}"
        options = f"{lower},upperdir={upper},workdir={work},volatile,{_OPTIONS}"
        try:
            with self._mount(options) as path:
                yield Active(path, upper)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def unchanged(self, active: Active, below: Snapshot) -> bool:
        """Whether an active snapshot is still what it was made of."""
        return _unchanged(active.upper, self._root_of(below))

    def unmount(self, active: Active, *, lazily: bool = False) -> None:
        """Unmount an active snapshot, so that all its changes are in its layer.

        Not `lazily`, that waits for a process just forked, which has our files open until its exec.
        """
        if lazily:
            linux.umount(active.merged, linux.MNT_DETACH)
        else:
            _umount(active.merged)

    def commit(self, snapshot: Snapshot, upper: Path, key: str, *, plain: bool) -> Snapshot:
        """`snapshot` with the changes in `upper`, an active layer that is not mounted any more."""
        if _unchanged(upper, self._root_of(snapshot)):
            return Snapshot(snapshot.layers, key, plain)
        return self.stacked(snapshot, self.store.adopt(upper), key, plain=plain)

    def stacked(self, snapshot: Snapshot, layer: str, key: str, *, plain: bool) -> Snapshot:
        """`snapshot` with a layer on top of it, lower ones merged if they became too many."""
        layers = (*snapshot.layers, layer)
        if len(layers) >= _MOST_LAYERS:
            layers = (*layers[:-_MERGED_AT_ONCE], self._merged(layers[-_MERGED_AT_ONCE:]))
        return Snapshot(layers, key, plain)

    def change(
        self,
        snapshot: Snapshot,
        key: str,
        make: Callable[[Root], None],
        *,
        plain: bool = True,
        what: str = "files changed",
        recent: bool = False,
    ) -> Snapshot:
        """The snapshot that `make` leaves when it may change the files; `key` stands for `make`.

        With `recent` it is made again under the same key when it was made long ago: programs that
        compare the times of files take a new one for new.
        """
        step, key = key, digest("change", snapshot.key, key)
        self.lineage.note(key, what, step, snapshot.key)
        plain = plain and snapshot.plain
        known = self.recall(key)
        if known is not None and not (recent and self._aged(known)):
            return known
        folder = self.store.folder("upper")
        kept = folder / "kept"
        try:
            with self.active(snapshot) as active:
                with Root(active.merged) as root:
                    make(root)
                self.unmount(active)
                active.upper.rename(kept)
            made = self.commit(snapshot, kept, key, plain=plain)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.remember(made)
        return made

    def _aged(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot's topmost layer came into place long ago."""
        made = os.stat(f"{self.store.layers}/{snapshot.layers[-1]}").st_ctime
        return time.time() > made + _RECENT_SECONDS

    def recall(self, key: str) -> Snapshot | None:
        """The snapshot remembered under `key`."""
        record = self.store.recall(key)
        if record is None:
            return None
        return Snapshot(tuple(record["layers"]), key, record["plain"])

    def remember(self, snapshot: Snapshot, what: str = "files copied or changed") -> None:
        """Keep a snapshot under its key; `what` made it is for people."""
        record = {"layers": snapshot.layers, "plain": snapshot.plain, "what": what}
        self.store.remember(snapshot.key, record)

    def find(self, snapshot: Snapshot, path: str) -> Iterator[Path]:
        """Where `path` of a snapshot may lie in its layers, the topmost first."""
        for layer in reversed(snapshot.layers):
            yield self.store.layers / layer / path.lstrip("/")

    @contextmanager
    def _mount(self, options: str, flags: int = 0) -> Iterator[str]:
        path = self._mounts / str(next(self._numbers))
        path.mkdir()
        # A layer may hold a device node, which must not open when the engine reads it.
        linux.mount("overlay", str(path), "overlay", flags | linux.MS_NODEV, options)
        try:
            yield str(path)
        finally:
            try:
                linux.umount(str(path), linux.MNT_DETACH)
            except OSError as error:
                if error.errno != errno.EINVAL:  # unmounted already
                    raise
            path.rmdir()

    def _root_of(self, snapshot: Snapshot) -> Path:
        if not snapshot.layers:
            return self._nothing
        return self.store.layers / snapshot.layers[-1]

    def _copy_root_attributes(self, snapshot: Snapshot, upper: Path) -> None:
        """The root directory's owner and mode are those of the topmost layer's."""
        _copy_attributes(self._root_of(snapshot), upper)

    def _merged(self, layers: tuple[str, ...]) -> str:
        key = digest("merged", layers)
        record = self.store.recall(key)
        if record is not None:
            return str(record["layers"][0])
        target = self.store.folder("merged") / "fs"
        target.mkdir()
        for layer in layers:
            merge(f"{self.store.layers}/{layer}", str(target))
        name = self.store.adopt(target)
        self.store.remember(key, {"layers": [name], "what": "layers merged into one"})
        return name


def _umount(path: str) -> None:
    """Unmount, waiting for a process just forked, which has our files open until its exec."""
    for _ in range(_BUSY_TRIES):
        try:
            linux.umount(path)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        time.sleep(_BUSY_SECONDS)
    linux.umount(path, linux.MNT_DETACH)


def _lower(snapshot: Snapshot) -> str:
    return "lowerdir=" + ":".join(reversed(snapshot.layers))


def _unchanged(upper: Path, below: Path) -> bool:
    if os.listdir(upper):
        return False
    new, old = upper.stat(), below.stat()
    return (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an entry of a layer says that lower layers' entry of that name is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _make_opaque(path: str) -> None:
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def merge(layer: str, target: str) -> None:
    """Lay one layer over another, both overlayfs layers, by hard links; `layer` stays as it is."""
    for entry in os.scandir(layer):
        place = f"{target}/{entry.name}"
        if not entry.is_dir(follow_symlinks=False):
            try:
                os.link(entry.path, place, follow_symlinks=False)
            except FileExistsError:
                _remove(place)
                os.link(entry.path, place, follow_symlinks=False)
            continue
        try:
            os.mkdir(place)
            opaque = _is_opaque(entry.path)
        except FileExistsError:
            opaque = not stat.S_ISDIR(os.lstat(place).st_mode) or _is_opaque(entry.path)
            if opaque:
                _remove(place)
                os.mkdir(place)
        if opaque:
            _make_opaque(place)
        merge(entry.path, place)
    _copy_attributes(layer, target)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _copy_attributes(source: Path | str, target: Path | str) -> None:
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
