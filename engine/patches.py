"""Patches in git's format, made and applied by git, which needs no repository for that."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.changes import Changeset, Paths
from engine.errors import EngineError, ProcessError
from engine.lazy import Lazy
from engine.model import Directory
from engine.process import run
from engine.root import Root, clean
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_SECONDS = 300
ALONE = (
    *("-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE"),
    *("GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C"),
)
"""For `env`: neither a caller's repository nor anybody's configuration has a say."""

_DIFF = ("diff", "--no-index", "--no-ext-diff", "--no-textconv", "--no-prefix")


@dataclass(frozen=True, slots=True)
class Lines:
    """How many lines of a file were added and removed, none of a binary one; its old name."""

    added: int
    removed: int
    renamed_from: str = ""


async def patch(session: Session, changes: Changeset) -> bytes:
    """The changes as a patch, empty if there are none."""
    return await _diff(session, changes, "--binary", "--no-renames")


async def line_counts(session: Session, changes: Changeset) -> dict[str, Lines]:
    """The number of changed lines of each file, and which of them were renamed."""
    fields = iter(
        os.fsdecode(await _diff(session, changes, "--numstat", "-z", "--find-renames")).split("\0")
    )
    counts = {}
    for each in fields:
        if not each:
            continue
        added, removed, path = each.split("\t", 2)
        # With two names the first is the old one, and /dev/null stands for none.
        names = [path] if path else [next(fields), next(fields)]
        names = [name.split("/", 1)[1] for name in names if name != "/dev/null"]
        more, fewer = (0 if text == "-" else int(text) for text in (added, removed))
        counts[names[-1]] = Lines(more, fewer, names[0] if names[0] != names[-1] else "")
    return counts


async def _diff(session: Session, changes: Changeset, *options: str) -> bytes:
    paths = await changes.paths.get()
    if paths.empty:
        return b""
    folder = session.store.folder("diff")
    try:
        await _laid_out(session, changes, paths, folder)
        made = folder / "made"
        try:
            await _git(str(folder), *_DIFF, *options, f"--output={made}", "a", "b")
        except ProcessError as error:
            if error.exit_code != 1:  # 1 says that there is a difference
                raise EngineError(f"failed to generate patch: {error.output.strip()}") from None
        return made.read_bytes()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _git(folder: str, *command: str, stdin: bytes = b"") -> None:
    """Run git in a folder as if no repository held it."""
    ceiling = f"GIT_CEILING_DIRECTORIES={os.path.dirname(folder)}"
    await run(
        *("env", *ALONE, ceiling, "git", "-C", folder), *command, stdin=stdin, timeout=_SECONDS
    )


async def _laid_out(session: Session, changes: Changeset, paths: Paths, folder: Path) -> None:
    """Copies of the files that changed, as they were in `a` and as they are in `b`."""
    sides = (
        ("a", changes.before, (*paths.removed, *paths.modified)),
        ("b", changes.after, (*paths.added, *paths.modified)),
    )
    for name, directory, wanted in sides:
        snapshot = await directory.snapshot.get()
        await asyncio.to_thread(_copy, session, snapshot, directory.path, wanted, folder / name)


def _copy(
    session: Session, snapshot: Snapshot, top: str, paths: Iterable[str], target: Path
) -> None:
    target.mkdir()
    with session.snapshots.view(snapshot) as root:
        real = Path(root.real(top))
        for path in paths:
            source, place = real / path, target / path
            mode = source.lstat().st_mode
            if stat.S_ISLNK(mode) or stat.S_ISREG(mode):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place, follow_symlinks=False)


def patched(session: Session, directory: Directory, text: bytes) -> Directory:
    """The directory after a patch. A patch that does not apply raises EngineError."""
    if not text.strip():
        return directory

    async def compute() -> Snapshot:
        base = await directory.snapshot.get()
        loop = asyncio.get_running_loop()

        def make(root: Root) -> None:
            asyncio.run_coroutine_threadsafe(_apply(root, directory.path, text), loop).result()

        key = digest("patch", directory.path, text.decode("latin-1"))
        return await asyncio.to_thread(session.snapshots.change, base, key, make)

    return Directory(Lazy(compute), directory.path, directory.shown)


async def _apply(root: Root, path: str, text: bytes) -> None:
    mounts, name = os.path.split(root.path)
    inside = clean(root.real(path).removeprefix(root.path))
    # From above the tree: a .git in it is not ours, and its configuration may name programs.
    try:
        await _git(mounts, "apply", f"--directory={name}{inside}", "-", stdin=text)
    except ProcessError as error:
        why = error.output.strip().replace(f"{name}{inside}".rstrip("/") + "/", "")
        raise EngineError(f"failed to apply patch: {why}") from None
