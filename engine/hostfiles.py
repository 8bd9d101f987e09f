"""Files of the client's machine as snapshots."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import EngineError
from engine.files import remember_whole
from engine.lazy import Lazy
from engine.model import Directory, File
from engine.root import Entry, Root
from engine.selection import Selection
from engine.snapshot import Snapshot
from engine.store import digest
from engine.tree import describe, set_file_digest

if TYPE_CHECKING:
    from engine.session import Session


def host_directory(
    session: Session, path: Path, selection: Selection = Selection()  # noqa: B008 - immutable
) -> Directory:
    """A folder of the client's machine, as it is when it is first asked for."""

    def load() -> Snapshot:
        _check_folder(path)
        chosen = _in_repository(path, selection) if selection.gitignore else selection
        return _imported(session, path, chosen)

    return Directory(Lazy(lambda: asyncio.to_thread(load)))


def host_file(session: Session, path: Path) -> File:
    """A file of the client's machine."""

    def load() -> Snapshot:
        if path.is_dir():
            raise EngineError(f"path {path} is a directory, not a file")
        if not path.exists():
            raise EngineError(f"stat {path.name}: no such file or directory")
        if not path.is_file():
            raise EngineError(f"path {path} is a device, pipe or socket, not a file")
        return _imported(session, path.parent.resolve(), None, name=path.name)

    return File(Lazy(lambda: asyncio.to_thread(load)), f"/{path.name}")


# A change of more than one file in so many is not worth a layer of its own.
_FEW = 4
_MOST_LAYERS = 8
_BLOCK = 1 << 20
_TOLD = 20


class _Seen(NamedTuple):
    """An entry as it was when it was last read."""

    mode: int
    contents: str
    """A file's digest, a link's target."""
    stamp: list[int]
    """What changes when a file does; of other entries nothing."""

    def same_as(self, other: _Seen | None) -> bool:
        """Whether both are the same file, whenever they were written."""
        return other is not None and self[:2] == other[:2]


def _imported(
    session: Session, path: Path, selection: Selection | None, *, name: str = ""
) -> Snapshot:
    """The selected files below `path`, or the one called `name`, as a snapshot.

    Known by their contents: files that did not change since the last time (by inode, size and
    times) are not read again, and an equal tree is the snapshot that is there.
    """
    place = digest("host entries", str(path), selection.key if selection else name)
    record = session.store.recall(place) or {"entries": {}, "layers": []}
    before = {n: _Seen(*fields) for n, fields in record["entries"].items()}
    with Root(str(path)) as root:
        if selection is None:
            entries = [Entry(name, root.stat(name))]
        else:
            entries = list(selection.of(root, "/"))
        folder = session.store.folder("host")
        try:
            now, key = _read(path, entries, before, folder)
            made = session.snapshots.recall(key)
            if made is None:
                last = _Last(before, tuple(record["layers"]))
                made = _Import(session, path, entries, now, last, folder).snapshot(key)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if now != before or list(made.layers) != record["layers"]:
        session.store.remember(place, {"entries": now, "layers": made.layers})
    return made


def _check_folder(path: Path) -> None:
    if not path.exists():
        raise EngineError(f"lstat {path}: no such file or directory")
    if not path.is_dir():
        raise EngineError(f"stat {path}: not a directory")


def _in_repository(path: Path, selection: Selection) -> Selection:
    """The selection with the rules that a folder's Git repository has above it.

    Raises EngineError for a folder that they leave out.
    """
    top = next((each for each in (path, *path.parents) if (each / ".git").exists()), path)
    rules = selection.above
    for folder in reversed((path, *path.parents)):
        if folder == path or not folder.is_relative_to(top):
            continue
        with suppress(OSError):
            text = os.fsdecode((folder / ".gitignore").read_bytes())
            rules = rules.including(_inside(top, folder), text)
    place = _inside(top, path)
    if place and not rules.negates and rules.leaves_out(place, directory=True):
        raise EngineError(f"{place}: no such file or directory")
    return replace(selection, base=f"{place}/" if place else "", above=rules)


def _inside(top: Path, folder: Path) -> str:
    return "" if folder == top else folder.relative_to(top).as_posix()


def _read(
    path: Path, entries: list[Entry], before: dict[str, _Seen], drafts: Path
) -> tuple[dict[str, _Seen], str]:
    """What is known of each entry, and what stands for the whole tree.

    What had to be read is left in the folder `drafts`, under its number in the tree: the digest is
    of the bytes that are kept, also when the file changes meanwhile.
    """
    now: dict[str, _Seen] = {}
    total = hashlib.sha256()
    for entry in entries:
        status = entry.status
        stamp: list[int] = []
        contents = ""
        if stat.S_ISREG(status.st_mode):
            stamp = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            last = before.get(entry.path)
            if last is not None and last.stamp == stamp:
                contents = last.contents
            else:
                contents = _copied(f"{path}/{entry.path}", f"{drafts}/{len(now)}", status)
        elif stat.S_ISLNK(status.st_mode):
            contents = os.readlink(path / entry.path)
        elif not entry.is_dir:
            continue  # a socket, a pipe or a device
        now[entry.path] = _Seen(status.st_mode, contents, stamp)
        total.update(os.fsencode(f"{entry.path}\0{status.st_mode:o}\0{contents}\n"))
    return now, digest("tree", total.hexdigest())


class _Last(NamedTuple):
    """What the folder was when it was last read."""

    entries: dict[str, _Seen]
    layers: tuple[str, ...]


class _Import:
    """The making of a snapshot of files of the machine."""

    def __init__(
        self,
        session: Session,
        path: Path,
        entries: list[Entry],
        now: dict[str, _Seen],
        last: _Last,
        folder: Path,
    ) -> None:
        self._session = session
        self._path = path
        self._entries = [entry for entry in entries if entry.path in now]
        self._now = now
        self._last = last
        self._folder = folder

    def snapshot(self, key: str) -> Snapshot:
        """The snapshot: a layer over the last ones if few files changed, else one of its own."""
        changed = {
            n for n, seen in self._now.items() if not seen.same_as(self._last.entries.get(n))
        }
        gone = [n for n in self._last.entries if n not in self._now]
        if self._last.entries:
            names = sorted({n for n in changed if not stat.S_ISDIR(self._now[n].mode)} | set(gone))
            told = {"count": len(names), "names": names[:_TOLD]}
            self._session.event("host", path=str(self._path), **told)
        few = len(changed) + len(gone) <= len(self._now) // _FEW
        over_last = few and 0 < len(self._last.layers) < _MOST_LAYERS
        top = f"{self._folder}/fs"
        os.mkdir(top, 0o755)
        os.chmod(top, 0o755)
        if over_last:
            self._fill(top, _with_parents(changed | set(gone)), changed)
            self._white_out(top, gone)
        else:
            self._fill(top, None, changed)
        status = os.stat(top)
        layer = self._session.store.adopt(Path(top))
        made = Snapshot((*self._last.layers, layer) if over_last else (layer,), key)
        self._session.snapshots.remember(made, f"files of {self._path}")
        remember_whole(self._session.snapshots, made, status, self._digest())
        return made

    def _digest(self) -> str:
        """What `tree_digest` makes of the snapshot."""
        total = hashlib.sha256()
        for name, seen in self._now.items():
            total.update(describe(name, seen.mode, (0, 0), seen.contents))
        return total.hexdigest()

    def _fill(self, top: str, wanted: set[str] | None, changed: set[str]) -> None:
        """Make the wanted entries, or all; files that did not change are linked."""
        folders = []
        for number, entry in enumerate(self._entries):
            if wanted is not None and entry.path not in wanted:
                continue
            place = f"{top}/{entry.path}"
            seen = self._now[entry.path]
            if stat.S_ISREG(seen.mode):
                if entry.path in changed or not self._linked(entry.path, place):
                    self._place(number, entry, place)
            elif stat.S_ISLNK(seen.mode):
                os.symlink(seen.contents, place)
            else:
                os.mkdir(place)
                os.chmod(place, stat.S_IMODE(seen.mode))
                folders.append((place, entry.status.st_mtime_ns))
        for place, when in reversed(folders):
            os.utime(place, ns=(when, when))

    def _place(self, number: int, entry: Entry, place: str) -> None:
        try:
            os.rename(f"{self._folder}/{number}", place)
        except FileNotFoundError:  # it was not read: its mode changed, or its layer is gone
            found = _copied(f"{self._path}/{entry.path}", place, entry.status)
            if found != self._now[entry.path].contents:
                raise EngineError(f"{self._path}/{entry.path} changes while it is read") from None

    def _linked(self, name: str, place: str) -> bool:
        for layer in reversed(self._last.layers):
            with suppress(OSError):
                os.link(f"{self._session.store.layers}/{layer}/{name}", place)
                return True
        return False

    def _white_out(self, top: str, gone: list[str]) -> None:
        """Hide what is not there any more; with a directory all that was in it."""
        for name in gone:
            above = os.path.dirname(name)
            if not above or (above in self._now and stat.S_ISDIR(self._now[above].mode)):
                os.mknod(f"{top}/{name}", stat.S_IFCHR, 0)


def _with_parents(names: set[str]) -> set[str]:
    found = set(names)
    for name in names:
        while (name := os.path.dirname(name)) and name not in found:
            found.add(name)
    return found


def _copied(source: str, place: str, status: os.stat_result) -> str:
    """Copy a file with mode and time; the SHA-256 of what was copied, which is kept beside it."""
    found = hashlib.sha256()
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while data := os.read(reading, _BLOCK):
                found.update(data)
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(writing, rest) :]
            os.fchmod(writing, stat.S_IMODE(status.st_mode))
            os.utime(writing, ns=(status.st_mtime_ns, status.st_mtime_ns))
            set_file_digest(writing, found.hexdigest())
        finally:
            os.close(writing)
    finally:
        os.close(reading)
    return found.hexdigest()
