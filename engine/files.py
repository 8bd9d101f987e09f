"""Operations on snapshots: what the fields of Directory, File and Container do to files."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Directory, File
from engine.patterns import PatternError, split_at_wildcards
from engine.placement import placed
from engine.root import Entry, Root, clean, missing
from engine.selection import Selection
from engine.snapshot import Snapshot, Snapshots
from engine.store import digest
from engine.tree import Attributes, Copy, file_digest, tree_digest

Owner = tuple[int, int]


def changed(
    snapshots: Snapshots,
    below: Lazy[Snapshot],
    key: str,
    make: Callable[[Root], None],
    what: str,
    *,
    recent: bool = False,
) -> Lazy[Snapshot]:
    """The snapshot after `make` changed its files; equal keys stand for equal changes."""

    async def compute() -> Snapshot:
        base = await below.get()
        return await asyncio.to_thread(snapshots.change, base, key, make, what=what, recent=recent)

    return Lazy(compute)


def with_new_file(
    snapshots: Snapshots, below: Lazy[Snapshot], path: str, contents: str, *, mode: int = 0o644
) -> Lazy[Snapshot]:
    """A file with the given contents; one that was there keeps its mode and owner."""
    data = contents.encode("utf-8", "surrogateescape")

    def make(root: Root) -> None:
        how = mode, (0, 0)
        if root.exists(path):
            status = root.stat(path)
            if stat.S_ISDIR(status.st_mode):
                raise EngineError(f"open {path}: is a directory")
            how = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        root.write(path, data, mode=how[0], owner=how[1])

    key = digest("new file", path, contents, mode)
    return changed(snapshots, below, key, make, f"the new file {path}", recent=True)


def with_placed_file(
    snapshots: Snapshots,
    below: Lazy[Snapshot],
    path: str,
    contents: str,
    *,
    mode: int,
    owner: Owner,
) -> Lazy[Snapshot]:
    """As if a file with the given contents was copied: in the place of one, or into a directory."""
    data = contents.encode("utf-8", "surrogateescape")

    def make(root: Root) -> None:
        where = clean(path)
        inside = path.endswith("/") or (
            root.exists(where) and stat.S_ISDIR(root.stat(where).st_mode)
        )
        if inside:
            where = f"{where}/{os.path.basename(where)}"
        root.make_dirs(os.path.dirname(where))
        with root.parent(where) as (fd, name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=fd)
        root.write(where, data, mode=mode, owner=owner)

    key = digest("placed file", path, contents, mode, owner)
    return changed(snapshots, below, key, make, f"the new file {path}", recent=True)


def with_new_directory(
    snapshots: Snapshots, below: Lazy[Snapshot], path: str, *, mode: int
) -> Lazy[Snapshot]:
    """A directory; those above it that were missing get the same mode, as recorded."""

    def make(root: Root) -> None:
        if not root.make_dirs(path, mode=mode) and not stat.S_ISDIR(root.stat(path).st_mode):
            raise EngineError(f"mkdir {path}: not a directory")

    return changed(
        snapshots, below, digest("new directory", path, mode), make, f"the new directory {path}"
    )


def with_symlink(
    snapshots: Snapshots, below: Lazy[Snapshot], target: str, path: str
) -> Lazy[Snapshot]:
    """A symbolic link at `path`; over an existing name it fails."""

    def make(root: Root) -> None:
        root.make_dirs(os.path.dirname(clean(path)))
        with root.parent(path) as (fd, name):
            try:
                os.symlink(target, name, dir_fd=fd)
            except FileExistsError:
                raise EngineError(f"symlink {target} {path}: file exists") from None

    return changed(snapshots, below, digest("symlink", target, path), make, f"the link {path}")


def without(snapshots: Snapshots, below: Lazy[Snapshot], paths: Sequence[str]) -> Lazy[Snapshot]:
    """Files and directories taken away; an asterisk in a path matches within a name."""

    def make(root: Root) -> None:
        for path in paths:
            for name in _named(root, path):
                _remove(root, name)

    return changed(
        snapshots,
        below,
        digest("without", list(paths)),
        make,
        f"what is taken away: {', '.join(paths)}",
    )


def _named(root: Root, path: str) -> list[str]:
    # As recorded: without an asterisk, a question mark or a bracket is a name's.
    if "*" not in path:
        return [path]
    try:
        start, glob = split_at_wildcards(path)
        return [f"/{start}/{e.path}" for e in root.walk(f"/{start}") if glob.matches(e.path)]
    except (OSError, PatternError):
        return []


def _remove(root: Root, path: str) -> None:
    if clean(path) == "/":
        raise EngineError("the root directory cannot be removed")
    try:
        with root.parent(path) as (fd, name):
            if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                shutil.rmtree(name, dir_fd=fd)
            else:
                os.unlink(name, dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError):
        pass  # taking away what is not there is fine


def with_timestamps(
    snapshots: Snapshots, below: Lazy[Snapshot], path: str, seconds: int
) -> Lazy[Snapshot]:
    """`path` and everything below it with the given modification time."""

    def make(root: Root) -> None:
        real = root.real(path)
        if os.path.isdir(real):
            for entry in root.walk(path):
                os.utime(f"{real}/{entry.path}", (seconds, seconds), follow_symlinks=False)
        os.utime(real, (seconds, seconds))

    # A time is not in the digest of a tree: what is made of this must not count as plain.
    async def compute() -> Snapshot:
        base = await below.get()
        key = digest("timestamps", path, seconds)
        return await asyncio.to_thread(
            snapshots.change, base, key, make, plain=False, what=f"the times of {path}"
        )

    return Lazy(compute)


def chowned(snapshots: Snapshots, below: Lazy[Snapshot], path: str, owner: Owner) -> Lazy[Snapshot]:
    """`path` and everything below it with another owner."""

    def make(root: Root) -> None:
        real = root.real(path)
        if os.path.isdir(real):
            for entry in root.walk(path):
                os.chown(f"{real}/{entry.path}", *owner, follow_symlinks=False)
        os.chown(real, *owner, follow_symlinks=False)

    return changed(snapshots, below, digest("chown", path, owner), make, f"the owner of {path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """Which entries of a source are copied, and how they are called and owned in the copy."""

    selection: Selection = Selection()
    how: Attributes = Attributes()


def with_directory(
    snapshots: Snapshots, below: Lazy[Snapshot], path: str, source: Directory, what: What
) -> Lazy[Snapshot]:
    """The contents of `source` copied into the directory `path`, which is made if missing."""

    async def compute() -> Snapshot:
        base, origin = await asyncio.gather(below.get(), source.snapshot.get())
        return await asyncio.to_thread(
            _copied_directory, snapshots, base, path, origin, source.path, what
        )

    return Lazy(compute)


def _copied_directory(
    snapshots: Snapshots, base: Snapshot, path: str, origin: Snapshot, inside: str, what: What
) -> Snapshot:
    with snapshots.view(origin) as root:
        check_directory(root, inside)
        contents = directory_key(snapshots, root, origin, inside, what.selection)
        how = what.how
        way = ["owned way"] if how.way else []
        key = digest("copy", base.key, path, contents, how.owner, how.mode, *way)
        snapshots.lineage.note(key, f"files copied to {path}", contents, base.key)
        known = snapshots.recall(key)
        if known is not None:
            return known
        if clean(inside) == "/" and how.none and what.selection.everything:
            made = placed(snapshots, base, path, origin, key)
            if made is not None:
                snapshots.remember(made)
                return made
        top = root.stat(inside)
        source = clean(root.real(inside).removeprefix(root.path))

        def fill(copy: Copy, existed: bool) -> None:
            place = copy.directories(path, how.way)
            if not existed:
                copy.entry(root, Entry("", top), source, place, how)
            folders = [] if existed else [(place, top)]
            for entry in what.selection.of(root, inside):
                at = place / entry.path
                if not at.parent.is_dir():
                    copy.directories(f"{path}/{os.path.dirname(entry.path)}")
                copy.entry(root, entry, f"{source}/{entry.path}", at, how)
                if entry.is_dir:
                    folders.append((at, entry.status))
            # Writing into a directory moves its time: set it again, the innermost first.
            for at, status in reversed(folders):
                os.utime(at, ns=(status.st_mtime_ns, status.st_mtime_ns))

        return _layered(snapshots, base, path, origin, key, fill)


def with_file(
    snapshots: Snapshots, below: Lazy[Snapshot], path: str, source: File, how: Attributes
) -> Lazy[Snapshot]:
    """A copy of `source` at `path`, or below it under its own name if `path` is a directory."""

    async def compute() -> Snapshot:
        base, origin = await asyncio.gather(below.get(), source.snapshot.get())
        return await asyncio.to_thread(_copied_file, snapshots, base, path, origin, source, how)

    return Lazy(compute)


def _copied_file(
    snapshots: Snapshots,
    base: Snapshot,
    path: str,
    origin: Snapshot,
    source: File,
    how: Attributes,
) -> Snapshot:
    name = source.name or os.path.basename(source.path)
    with snapshots.view(origin) as root:
        check_file(root, source.path)
        contents = file_key(root, origin, source.path)
        way = ["owned way"] if how.way else []
        key = digest("copy file", base.key, path, name, contents, how.owner, how.mode, *way)
        snapshots.lineage.note(key, f"the file copied to {path}", contents, base.key)
        known = snapshots.recall(key)
        if known is not None:
            return known
        entry = Entry("", root.stat(source.path))
        inside = clean(root.real(source.path).removeprefix(root.path))
        with snapshots.view(base) as there:
            folder = path.endswith("/") or (
                there.exists(path) and stat.S_ISDIR(there.stat(path).st_mode)
            )
        target = f"{path}/{name}" if folder else path

        def fill(copy: Copy, existed: bool) -> None:
            place = copy.place(target, how.way)
            copy.entry(root, entry, inside, place, how)

        return _layered(snapshots, base, target, origin, key, fill)


def _layered(
    snapshots: Snapshots,
    base: Snapshot,
    path: str,
    origin: Snapshot,
    key: str,
    fill: Callable[[Copy, bool], None],
) -> Snapshot:
    """`base` with a layer that `fill` puts together."""
    folder = snapshots.store.folder("copy")
    upper = folder / "upper"
    upper.mkdir()
    try:
        with snapshots.view(base) as there:
            status = there.stat("/")
            os.chown(upper, status.st_uid, status.st_gid)
            os.chmod(upper, stat.S_IMODE(status.st_mode))
            copy = Copy(snapshots, origin, there, upper)
            fill(copy, there.exists(path))
            copy.settle()
        made = snapshots.commit(base, upper, key, plain=base.plain and origin.plain)
        snapshots.remember(made)
        return made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_directory(root: Root, path: str, name: str = "") -> None:
    """Raise EngineError unless `path` is a directory."""
    try:
        status = root.stat(path)
    except OSError:
        raise missing(name or path.lstrip("/")) from None
    if not stat.S_ISDIR(status.st_mode):
        raise EngineError(f"path {name or path.lstrip('/')} is a file, not a directory")


def check_file(root: Root, path: str, name: str = "") -> None:
    """Raise EngineError unless `path` is a file."""
    try:
        status = root.stat(path)
    except OSError:
        raise missing(name or path) from None
    if stat.S_ISDIR(status.st_mode):
        raise EngineError(f"path {name or path} is a directory, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise EngineError(f"path {name or path} is a device, pipe or socket, not a file")


def directory_key(
    snapshots: Snapshots,
    root: Root,
    origin: Snapshot,
    path: str,
    selection: Selection = Selection(),  # noqa: B008 - immutable
) -> str:
    """What stands for the selected part of a directory in the keys of what is made of it.

    For files that no command made it is a digest of the contents, so that a change beside them, or
    an equal tree from elsewhere, changes nothing. It is remembered under the snapshot's key.
    """
    name = digest("directory", origin.key, clean(path), selection.key)
    if not origin.plain:
        return name
    record = snapshots.store.recall(name)
    if record is None:
        found = tree_digest(root, path, selection.of(root, path))
        record = {"digest": _with_top(root.stat(path), found)}
        snapshots.store.remember(name, record)
    return str(record["digest"])


def remember_whole(snapshots: Snapshots, origin: Snapshot, top: os.stat_result, found: str) -> None:
    """Remember the digest of all of a snapshot, known from how it was made."""
    name = digest("directory", origin.key, "/", Selection().key)
    snapshots.store.remember(name, {"digest": _with_top(top, found)})


def _with_top(top: os.stat_result, found: str) -> str:
    return digest([stat.S_IMODE(top.st_mode), top.st_uid, top.st_gid], found)


def file_key(root: Root, origin: Snapshot, path: str) -> str:
    """What stands for a file in the keys of what is made of it."""
    if not origin.plain:
        return digest("file", origin.key, path)
    status = root.stat(path)
    contents = file_digest(root.real(path))
    return digest(contents, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
