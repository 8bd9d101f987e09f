"""Git repositories that lie in directories: read by the machine's own `git`, trusted in nothing.

Who wrote such a repository decides what `git` finds in it: programs to run, folders to read objects
from, links that lead out of it. It is opened over a layer in which none of that is left.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, ProcessError
from engine.files import check_directory
from engine.lazy import Lazy
from engine.model import Directory
from engine.process import ask
from engine.root import Root, clean
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ALLOW_PROTOCOL": "file",
    "LC_ALL": "C",
}
"""For `git` where it reads one: nobody's settings."""

_GIT_FILE = re.compile(rb"gitdir: (?P<path>.+?)[\r\n]*", re.DOTALL)
# Others name programs to run, or change nothing here.
_SETTINGS = (
    r"^(core\.(bare|filemode|symlinks|ignorecase|autocrlf|eol|safecrlf|repositoryformatversion)"
    r"|extensions\.objectformat)$"
)
_SETTING = re.compile(r"(?P<section>[a-z]+)\.(?P<name>[a-z]+)\n(?P<value>\w+)")
_LEADS_OUT = (
    *("config", "config.worktree", "hooks", "commondir", "worktrees"),
    *("objects/info/alternates", "objects/info/http-alternates"),
)
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Opened:
    """A repository that `git` can be run on: its git folder, and whether it has a working tree."""

    git_dir: Path
    working_tree: str
    """The path in the snapshot; empty for a bare one."""


def uncommitted_gone(session: Session, directory: Directory) -> Directory:
    """A directory of a repository as it would be without changes that are not committed."""

    async def compute() -> Snapshot:
        held = await directory.snapshot.get()
        return await asyncio.to_thread(_restored, session, held, directory)

    return replace(directory, snapshot=Lazy(compute))


def _restored(session: Session, held: Snapshot, directory: Directory) -> Snapshot:
    with opened(session, held, directory) as repository:
        if not repository.working_tree:
            return held

        def restore(root: Root) -> None:
            # The index is written, which is no change that anybody asked for.
            index = session.store.folder("git") / "index"
            try:
                shutil.copyfile(repository.git_dir / "index", index)
                _restore(root, repository, directory.path, index)
            except ProcessError as error:
                raise failed(error) from None
            finally:
                shutil.rmtree(index.parent)

        key = digest("git restore", directory.path)
        return session.snapshots.change(held, key, restore, what="changes not committed undone")


def _restore(root: Root, repository: Opened, path: str, index: Path) -> None:
    """Undo what was not committed below a path, and write no file that is as it was."""
    top = root.real(repository.working_tree)
    place = ("-C", root.real(path), f"--git-dir={repository.git_dir}", f"--work-tree={top}")
    for command in (
        ("restore", "--staged", "."),
        ("update-index", "-q", "--refresh"),
        ("restore", "."),
        ("clean", "--quiet", "-fd"),
    ):
        _git(*place, *command, index=index)


def _git(*command: str, index: Path | None = None) -> str:
    env = ENVIRONMENT | ({} if index is None else {"GIT_INDEX_FILE": str(index)})
    words = [f"{name}={value}" for name, value in env.items()]
    return ask("env", *words, "git", *command, stdin=b"", timeout=_SECONDS)


def failed(error: ProcessError) -> EngineError:
    """What a program gets to know of a `git` that failed."""
    return EngineError(f"git error: {' '.join(error.output.replace('fatal: ', '').split())}")


@contextmanager
def opened(session: Session, held: Snapshot, directory: Directory) -> Iterator[Opened]:
    """The repository that a directory of a snapshot is of, as `git` finds it: in it or above it.

    Raises EngineError if there is none.
    """
    with session.snapshots.active(held) as active, Root(active.merged) as root:
        check_directory(root, directory.path)
        git_dir, working_tree = _found(root, directory.path)
        place = Path(root.real(git_dir))
        _make_harmless(place)
        yield Opened(place, working_tree)


def _found(root: Root, path: str) -> tuple[str, str]:
    """The git folder, and the folder that it is of, or nothing for a bare one."""
    at = clean(path)
    while True:
        below = _named_by_file(root, at) or clean(f"{at}/.git")
        if _is_git_dir(root, below):
            return below, at
        if _is_git_dir(root, at):
            return at, ""
        if at == "/":
            raise EngineError("git error: not a git repository")
        at = os.path.dirname(at)


def _named_by_file(root: Root, folder: str) -> str:
    """What a file `.git` names, which a submodule has, in the same snapshot."""
    try:
        match = _GIT_FILE.fullmatch(root.read(f"{folder}/.git"))
    except OSError:
        return ""
    return "" if match is None else clean(os.path.join(folder, os.fsdecode(match["path"])))


def _is_git_dir(root: Root, path: str) -> bool:
    try:
        head = root.stat(f"{path}/HEAD", follow=False)
        folders = [root.stat(f"{path}/{name}", follow=False) for name in ("objects", "refs")]
    except OSError:
        return False
    return stat.S_ISREG(head.st_mode) and all(stat.S_ISDIR(each.st_mode) for each in folders)


def _make_harmless(git_dir: Path) -> None:
    for folder, names, files in os.walk(git_dir):
        for name in (*names, *files):
            place = os.path.join(folder, name)
            mode = os.lstat(place).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                os.unlink(place)
    config = git_dir / "config"
    settings = _settings(config) if config.is_file() else ""
    for each in (git_dir / name for name in _LEADS_OUT):
        shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
    config.write_text(settings)
    os.chown(git_dir, 0, 0)  # git reads no repository of another user


def _settings(config: Path) -> str:
    read = ("config", "--file", str(config), "--no-includes", "-z", "--get-regexp", _SETTINGS)
    try:
        found = _git(*read)
    except ProcessError as error:
        if error.exit_code == 1:  # none of them is set
            return ""
        raise failed(error) from None
    matches = filter(None, map(_SETTING.fullmatch, found.split("\0")))
    return "".join(f"[{m['section']}]\n\t{m['name']} = {m['value']}\n" for m in matches)
