"""Two sets of changes made one: by git's three-way merge, where both touch the same files."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.changes import Changeset, Paths, changeset, merged
from engine.errors import EngineError, ProcessError
from engine.lazy import Lazy
from engine.model import Directory
from engine.patches import ALONE
from engine.process import ask
from engine.root import Root
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_SECONDS = 300
_SELF = tuple(
    f"GIT_{who}_{what}"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME=Brewline", "EMAIL=brewline@localhost")
)
_CHOICE = {"PREFER_OURS": ("-X", "ours"), "PREFER_THEIRS": ("-X", "theirs")}
_BASE, _OURS, _THEIRS = "base", "ours", "theirs"


async def both(session: Session, ours: Changeset, theirs: Changeset, on_conflict: str) -> Changeset:
    """The changes of both. Raises EngineError for a conflict that is not settled by choice."""
    paths = await ours.paths.get(), await theirs.paths.get()
    if on_conflict == "FAIL_EARLY" and (found := conflicts(*paths)):
        raise EngineError("\n".join(found))
    whole = await merged(session, ours, theirs)
    shared = sorted(_files(paths[0]) & _files(paths[1]))
    if not shared:
        return whole
    sides = {_BASE: whole.before, _OURS: ours.after, _THEIRS: theirs.after}
    held = {name: await each.snapshot.get() for name, each in sides.items()}
    below = await whole.after.snapshot.get()
    key = digest(
        "merge", shared, on_conflict, [(held[name].key, each.path) for name, each in sides.items()]
    )

    def work() -> Snapshot:
        folder = session.store.folder("merge")
        try:
            tree = folder / "tree"
            tree.mkdir()
            for name, each in sides.items():
                with session.snapshots.view(held[name]) as root:
                    _commit(tree, root, each, shared, name)
            _merge(tree, on_conflict, paths)
            return session.snapshots.change(
                below, key, lambda root: _put(root, whole.after.path, tree, shared), what="a merge"
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    after = replace(whole.after, snapshot=Lazy.of(await asyncio.to_thread(work)))
    return changeset(session, whole.before, after)


def conflicts(ours: Paths, theirs: Paths) -> list[str]:
    """What both sets of changes touch, and how: whether or not git could merge it."""
    twice = [(path, "path added in both changesets") for path in ours.added if path in theirs.added]
    either = {*ours.modified} & {*theirs.removed} | {*ours.removed} & {*theirs.modified}
    twice += [
        (path, "path modified in both changesets")
        for path in ours.modified
        if path in theirs.modified
    ]
    twice += [
        (path, "path modified in one changeset and removed in the other") for path in sorted(either)
    ]
    return [f'conflict between changesets at path "{path}": {why}' for path, why in twice]


def _files(paths: Paths) -> set[str]:
    every = (*paths.added, *paths.modified, *paths.removed)
    # What lies in a .git is git's own, and might name programs to run.
    return {path for path in every if not path.endswith("/") and ".git" not in path.split("/")}


def _commit(tree: Path, root: Root, side: Directory, names: Sequence[str], branch: str) -> None:
    """A branch with one side's versions of the files."""
    if branch == _BASE:
        _git(tree, "-c", "init.defaultBranch=base", "init", "--quiet", "--template=")
    else:
        _git(tree, "checkout", "--quiet", "--force", "-b", branch, _BASE)
        _git(tree, "rm", "--quiet", "-r", "--force", "--ignore-unmatch", ".")
    for name in names:
        _copy(root, f"{side.path}/{name}", tree / name)
    _git(tree, "add", "--all", "--force")
    _git(tree, "commit", "--quiet", "--allow-empty", "--message", branch)


def _copy(root: Root, path: str, place: Path) -> None:
    try:
        mode = root.stat(path, follow=False).st_mode
    except OSError:
        return  # not on this side
    place.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        with root.parent(path) as (fd, name):
            place.symlink_to(os.readlink(name, dir_fd=fd))
    elif stat.S_ISREG(mode):
        place.write_bytes(root.read(path))
        place.chmod(0o755 if mode & 0o111 else 0o644)


def _merge(tree: Path, on_conflict: str, paths: tuple[Paths, Paths]) -> None:
    _git(tree, "checkout", "--quiet", "--force", _OURS)
    choice = _CHOICE.get(on_conflict, ())
    try:
        _git(tree, "merge", "--quiet", "--no-edit", "--no-commit", *choice, _THEIRS)
    except ProcessError as error:
        if on_conflict in ("FAIL", "FAIL_EARLY"):
            raise EngineError(f"git merge: {' '.join(error.output.split())}") from None
        _choose(tree, on_conflict, paths)


def _choose(tree: Path, on_conflict: str, paths: tuple[Paths, Paths]) -> None:
    """Settle for one side where it changed a file that the other removed."""
    gone = [{*each.removed} for each in paths]
    changed = [{*each.modified} for each in paths]
    for name in gone[0] & changed[1] | changed[0] & gone[1]:
        ours_removed = name in gone[0]
        keep_ours = on_conflict == "PREFER_OURS" or (
            on_conflict == "LEAVE_CONFLICT_MARKERS" and not ours_removed
        )
        if keep_ours == ours_removed:
            _git(tree, "rm", "--quiet", "--force", "--", name)
        else:
            side = "--ours" if keep_ours else "--theirs"
            _git(tree, "checkout", "--quiet", side, "--", name)


def _put(root: Root, top: str, tree: Path, names: Iterable[str]) -> None:
    """Give the files their merged contents; what the merge took away goes."""
    for name in names:
        path, found = f"{top}/{name}", tree / name
        if os.path.lexists(found):
            root.make_dirs(os.path.dirname(path))
        with suppress(FileNotFoundError, NotADirectoryError), root.parent(path) as (fd, last):
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=fd)
            if found.is_symlink():
                os.symlink(os.readlink(found), last, dir_fd=fd)
            elif found.exists():
                root.write(path, found.read_bytes(), mode=stat.S_IMODE(found.stat().st_mode))


def _git(tree: Path, *command: str) -> None:
    ceiling = f"GIT_CEILING_DIRECTORIES={tree.parent}"
    quiet = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.hooksPath=/dev/null")
    whole = ("env", *ALONE, *_SELF, ceiling, "git", *quiet, "-C", str(tree), *command)
    ask(*whole, stdin=b"", timeout=_SECONDS)
