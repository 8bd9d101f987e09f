"""A whole snapshot put below a path of another one, layer by layer.

Where nothing lies at the path yet, each layer of the source becomes a layer with its files moved
down to there, by hard links. These layers are remembered: of a tree with one file changed, which
is a new layer over known ones, only that one is made.
"""

from __future__ import annotations

import os
import shutil
import stat

from engine.root import Root, clean
from engine.snapshot import Snapshot, Snapshots, merge
from engine.store import digest

_Way = list[tuple[str, list[int]]]


def placed(
    snapshots: Snapshots, base: Snapshot, path: str, origin: Snapshot, key: str
) -> Snapshot | None:
    """`base` with all of `origin` at `path`; None where that takes more than layers put on top."""
    if not origin.layers:
        return None
    with snapshots.view(base) as there:
        way = _way(there, path)
    if way is None:
        return None
    made = base
    plain = base.plain and origin.plain
    for layer in origin.layers:
        made = snapshots.stacked(made, _moved(snapshots, layer, path, way), key, plain=plain)
    return made


def _way(there: Root, path: str) -> _Way | None:
    """The directories above `path` that are there, with their attributes.

    None if `path` itself is there, or anything but directories on the way.
    """
    way: _Way = []
    current = "/"
    for name in ["", *(part for part in clean(path).split("/") if part)]:
        current = os.path.join(current, name)
        try:
            status = there.stat(current, follow=False)
        except FileNotFoundError:
            return way
        if not stat.S_ISDIR(status.st_mode):
            return None
        attributes = [status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns]
        way.append((current, attributes))
    return None


def _moved(snapshots: Snapshots, layer: str, path: str, way: _Way) -> str:
    """The layer with its files below `path`, in directories like those that are on the way."""
    store = snapshots.store
    key = digest("moved", layer, clean(path), way)
    record = store.recall(key)
    if record is not None:
        return str(record["layers"][0])
    folder = store.folder("moved")
    try:
        top = folder / "fs"
        _make(str(top), clean(path))
        merge(f"{store.layers}/{layer}", f"{top}{clean(path)}")
        for directory, attributes in reversed(way):
            _set(f"{top}{directory}", attributes)
        name = store.adopt(top)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    store.remember(key, {"layers": [name], "what": f"files copied to {path}"})
    return name


def _make(top: str, path: str) -> None:
    """Make the directory `path` below `top`, and those above it."""
    current = top
    for name in path.split("/"):
        current = f"{current}/{name}" if name else current
        os.mkdir(current)
        os.chmod(current, 0o755)


def _set(directory: str, attributes: list[int]) -> None:
    mode, user, group, when = attributes
    os.chown(directory, user, group)
    os.chmod(directory, stat.S_IMODE(mode))
    os.utime(directory, ns=(when, when))
