"""Files of the client's machine as snapshots, and results written back to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
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
    return Directory(
        Lazy(lambda: asyncio.to_thread(_imported, session, path, selection, check=True))
    )


def host_file(session: Session, path: Path) -> File:
    """A file of the client's machine."""

    def load() -> Snapshot:
        if path.is_dir():
            raise EngineError(f"path {path} is a directory, not a file")
        if not path.exists():
            raise EngineError(f"stat {path.name}: no such file or directory")
        return _imported(session, path.parent.resolve(), None, name=path.name)

    return File(Lazy(lambda: asyncio.to_thread(load)), f"/{path.name}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when it was last read."""

    stamp: list[int]
    sha256: str

    @staticmethod
    def stamp_of(status: os.stat_result) -> list[int]:
        return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _imported(
    session: Session,
    path: Path,
    selection: Selection | None,
    *,
    name: str = "",
    check: bool = False,
) -> Snapshot:
    """The selected files below `path`, or the one called `name`, as a snapshot.

    Known by their contents: files that did not change since the last time (by inode, size and
    times) are not read again, and an equal tree is the snapshot that is there.
    """
    if check:
        _check_folder(path)
    place = digest("host", str(path), selection.key if selection else name)
    before = session.store.recall(place) or {"files": {}, "layers": []}
    with Root(str(path)) as root:
        if selection is None:
            entries = [Entry(name, root.stat(name))]
        else:
            entries = list(selection.of(root, "/"))
        files, total = _read(path, entries, before["files"])
    key = digest("tree", total)
    known = session.snapshots.recall(key)
    made = known or _stored(session, path, entries, files, before, key)
    record = {"files": {n: [s.stamp, s.sha256] for n, s in files.items()}, "layers": made.layers}
    session.store.remember(place, record)
    return made


def _check_folder(path: Path) -> None:
    if not path.exists():
        raise EngineError(f"lstat {path}: no such file or directory")
    if not path.is_dir():
        raise EngineError(f"stat {path}: not a directory")


def _read(
    path: Path, entries: list[Entry], before: dict[str, list[object]]
) -> tuple[dict[str, _Seen], str]:
    """What is known of each file, and the digest of the whole tree."""
    files: dict[str, _Seen] = {}
    total = hashlib.sha256()
    for entry in entries:
        contents = ""
        if stat.S_ISREG(entry.status.st_mode):
            stamp = _Seen.stamp_of(entry.status)
            last = before.get(entry.path)
            if last is not None and last[0] == stamp:
                contents = str(last[1])
            else:
                with open(path / entry.path, "rb") as file:
                    contents = hashlib.file_digest(file, "sha256").hexdigest()
            files[entry.path] = _Seen(stamp, contents)
        elif stat.S_ISLNK(entry.status.st_mode):
            contents = os.readlink(path / entry.path)
        mode = stat.S_IMODE(entry.status.st_mode)
        total.update(describe(entry, f"{mode:o} {contents}", metadata=False))
    return files, total.hexdigest()


def _stored(
    session: Session,
    path: Path,
    entries: list[Entry],
    files: dict[str, _Seen],
    before: dict[str, object],
    key: str,
) -> Snapshot:
    """A new layer with the files: those that did not change are linked from the last one."""
    folder = session.store.folder("host")
    top = folder / "fs"
    top.mkdir(mode=0o755)
    layers = before["layers"]
    assert isinstance(layers, list)
    last = session.store.layers / layers[0] if layers else None
    known = before["files"]
    assert isinstance(known, dict)
    folders = []
    for entry in entries:
        place = top / entry.path
        mode = entry.status.st_mode
        if stat.S_ISREG(mode):
            seen = files[entry.path]
            same = known.get(entry.path) == [seen.stamp, seen.sha256]
            if not (same and last is not None and _linked(last / entry.path, place)):
                _copied(path / entry.path, place, entry, seen)
        elif stat.S_ISDIR(mode):
            place.mkdir()
            place.chmod(stat.S_IMODE(mode))
            folders.append((place, entry.status))
        elif stat.S_ISLNK(mode):
            os.symlink(os.readlink(path / entry.path), place)
    for place, status in reversed(folders):
        os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns))
    made = Snapshot((session.store.adopt(top),), key)
    session.snapshots.remember(made, f"files of {path}")
    shutil.rmtree(folder, ignore_errors=True)
    return made


def _linked(source: Path, place: Path) -> bool:
    try:
        os.link(source, place)
        return True
    except OSError:
        return False


def _copied(source: Path, place: Path, entry: Entry, seen: _Seen) -> None:
    shutil.copyfile(source, place)
    place.chmod(stat.S_IMODE(entry.status.st_mode))
    os.utime(place, ns=(entry.status.st_mtime_ns, entry.status.st_mtime_ns))
    if place.stat().st_size == entry.status.st_size:
        set_file_digest(place, seen.sha256)


def export_directory(root: Root, inside: str, target: Path, *, wipe: bool) -> None:
    """Write a directory's contents into the folder `target`, over what is there."""
    if target.exists() and not target.is_dir():
        raise EngineError(f"{target} is a file: name a folder to export to")
    if wipe and target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True, exist_ok=True)
    source = Path(root.real(inside))
    folders = []
    for entry in root.walk(inside):
        place = target / entry.path
        mode = entry.status.st_mode
        if stat.S_ISDIR(mode):
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                place.unlink()
            place.mkdir(exist_ok=True)
            folders.append((place, entry.status))
            continue
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        if stat.S_ISLNK(mode):
            place.unlink(missing_ok=True)
            os.symlink(os.readlink(source / entry.path), place)
        elif stat.S_ISREG(mode):
            write_file(source / entry.path, place)
    for place, status in reversed(folders):
        place.chmod(stat.S_IMODE(status.st_mode))
        os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns))


def write_file(source: Path, target: Path) -> None:
    """Copy a file; `target` is whole or as it was, never half written.

    A file that was there keeps its mode, a new one has the source's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two engines have the same process number, and a name may be as long as names can be.
    draft = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        shutil.copyfile(source, draft)
        shutil.copymode(target if target.is_file() else source, draft)
        status = source.stat()
        os.utime(draft, ns=(status.st_mtime_ns, status.st_mtime_ns))
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
