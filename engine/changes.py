"""What changed from one directory to another, and the same changes made elsewhere."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine import files
from engine.lazy import Lazy
from engine.model import Directory
from engine.root import Entry, Root
from engine.selection import Selection
from engine.snapshot import EMPTY, Snapshot
from engine.store import digest
from engine.tree import file_digest

if TYPE_CHECKING:
    from engine.session import Session


@dataclass(frozen=True, slots=True)
class Paths:
    """What changed, in byte order; directories end with a slash.

    A directory that is in both is never among them.
    """

    added: tuple[str, ...]
    modified: tuple[str, ...]
    removed: tuple[str, ...]
    """With everything that was below a removed directory."""

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.added or self.modified or self.removed)

    @property
    def gone(self) -> tuple[str, ...]:
        """What was removed, without what was below a removed directory."""
        removed = set(self.removed)
        return tuple(path for path in self.removed if removed.isdisjoint(_above(path)))


def _above(path: str) -> Iterator[str]:
    """The directories that hold `path`."""
    parts = path.rstrip("/").split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count]) + "/"


@dataclass(frozen=True, slots=True)
class Changeset:
    """The changes from one directory to another."""

    before: Directory
    after: Directory
    paths: Lazy[Paths]


@dataclass(frozen=True, slots=True)
class Picked(Selection):
    """Exactly the paths that are named, and the directories above them."""

    paths: frozenset[str] = field(default=frozenset())

    @property
    def key(self) -> str:
        return digest("picked", sorted(self.paths))

    @property
    def everything(self) -> bool:
        return False

    def of(self, root: Root, path: str) -> Iterator[Entry]:
        wanted = {p.rstrip("/") for each in self.paths for p in (each, *_above(each))}
        return (entry for entry in root.walk(path) if entry.path in wanted)


def changeset(session: Session, before: Directory, after: Directory) -> Changeset:
    """The changes from `before` to `after`, compared when they are asked for."""

    async def compare() -> Paths:
        old, new = await asyncio.gather(before.snapshot.get(), after.snapshot.get())
        return await asyncio.to_thread(_compared, session, old, before.path, new, after.path)

    return Changeset(before, after, Lazy(compare))


def _compared(session: Session, old: Snapshot, old_path: str, new: Snapshot, path: str) -> Paths:
    with session.snapshots.view(old) as before, session.snapshots.view(new) as after:
        files.check_directory(before, old_path)
        files.check_directory(after, path)
        was = {_name(entry): entry for entry in before.walk(old_path)}
        now = {_name(entry): entry for entry in after.walk(path)}
        old_top, top = Path(before.real(old_path)), Path(after.real(path))
        modified = [
            name
            for name in was.keys() & now.keys()
            if not name.endswith("/")
            and _changed(old_top / name, was[name].status, top / name, now[name].status)
        ]
    return Paths(
        _in_order(now.keys() - was.keys()), _in_order(modified), _in_order(was.keys() - now.keys())
    )


def _name(entry: Entry) -> str:
    return entry.path + ("/" if entry.is_dir else "")


def _in_order(paths: set[str] | list[str]) -> tuple[str, ...]:
    return tuple(sorted(paths, key=os.fsencode))


def _changed(old: Path, was: os.stat_result, new: Path, now: os.stat_result) -> bool:
    if (was.st_mode, was.st_uid, was.st_gid) != (now.st_mode, now.st_uid, now.st_gid):
        return True
    if stat.S_ISLNK(now.st_mode):
        return os.readlink(old) != os.readlink(new)
    if not stat.S_ISREG(now.st_mode):
        return was.st_rdev != now.st_rdev
    return was.st_size != now.st_size or file_digest(old) != file_digest(new)


def layer(session: Session, changes: Changeset, *, touched: bool = False) -> Directory:
    """What was added or modified, in a directory of its own.

    With `touched` the directories too in which something was only removed.
    """

    async def compute() -> Snapshot:
        paths = await changes.paths.get()
        picked = Picked(
            paths=frozenset((*paths.added, *paths.modified, *(paths.removed if touched else ())))
        )
        return await _copied(session, Lazy.of(EMPTY), "/", changes.after, picked).get()

    return Directory(Lazy(compute))


def _copied(
    session: Session, below: Lazy[Snapshot], path: str, source: Directory, picked: Selection
) -> Lazy[Snapshot]:
    what = files.What(selection=picked)
    return files.with_directory(session.snapshots, below, path, source, what)


def applied(session: Session, directory: Directory, changes: Changeset) -> Directory:
    """The directory with the changes made to it."""

    async def compute() -> Snapshot:
        gone = (await changes.paths.get()).gone
        key = digest("remove", directory.path, gone)

        def remove(root: Root) -> None:
            remove_from(root, directory.path, gone)

        left = files.changed(
            session.snapshots, directory.snapshot, key, remove, "what a changeset takes away"
        )
        return await _copied(
            session, left, directory.path, layer(session, changes), Selection()
        ).get()

    return Directory(Lazy(compute), directory.path, directory.shown)


def remove_from(root: Root, top: str, paths: tuple[str, ...]) -> None:
    """Take paths below `top` away; what is not there is fine."""
    for path in paths:
        try:
            with root.parent(f"{top}/{path}") as (fd, name):
                if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    shutil.rmtree(name, dir_fd=fd)
                else:
                    os.unlink(name, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            continue


async def merged(session: Session, ours: Changeset, theirs: Changeset) -> Changeset:
    """The changes of both, where theirs are made last."""
    paths = await theirs.paths.get()
    # What they changed or removed must have been there before, or it would count as new.
    touched = Picked(paths=frozenset((*paths.modified, *paths.removed)))
    ours_paths = await ours.paths.get()
    known = frozenset((*ours_paths.removed, *ours_paths.modified))
    added = Picked(paths=touched.paths - known)
    before = ours.before
    snapshot = _copied(session, before.snapshot, before.path, theirs.before, added)
    before = Directory(snapshot, before.path, before.shown)
    return changeset(session, before, applied(session, ours.after, theirs))
