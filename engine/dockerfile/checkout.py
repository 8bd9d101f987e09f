"""Files of a Git repository at one commit."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.remotes import Repository
from engine.errors import ProcessError
from engine.lazy import Lazy
from engine.model import Directory
from engine.process import run
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_LONGEST_SECONDS = 600
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",  # nobody is there to answer
    "GIT_ALLOW_PROTOCOL": "http:https:ssh:git",  # of submodules too
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
}


def cloned(session: Session, repository: Repository) -> Directory:
    """The repository's files, or a folder of them, fetched when they are first asked for."""

    async def compute() -> Snapshot:
        folder = session.store.folder("git")
        try:
            return await _fetched(session, repository, folder)
        except ProcessError as error:
            raise DockerfileError(
                f"failed to fetch {repository.remote}: {error.output.strip()}"
            ) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    return Directory(Lazy(compute), f"/{repository.folder}")


async def _fetched(session: Session, repository: Repository, folder: Path) -> Snapshot:
    top = folder / "fs"
    top.mkdir(mode=0o755)
    await _git(top, "init", "--quiet")
    await _fetch(top, repository)
    commit = (await _git(top, "rev-parse", "FETCH_HEAD^{commit}")).strip()
    if not commit.startswith(repository.checksum):
        raise DockerfileError(
            f"expected checksum to match {repository.checksum}, got {commit} "
            f"for {repository.remote}"
        )
    keep = bool(repository.keep_git_dir)
    key = digest("git", commit, repository.remote if keep else "", keep, repository.submodules)
    known = session.snapshots.recall(key)
    if known is not None:
        return known
    await _git(top, "checkout", "--quiet", "--force", "FETCH_HEAD")
    if repository.submodules and (top / ".gitmodules").exists():
        await _git(top, "submodule", "update", "--quiet", "--init", "--recursive")
    await asyncio.to_thread(_tidy, top, keep)
    made = Snapshot((session.store.adopt(top),), key)
    session.snapshots.remember(made)
    return made


async def _fetch(top: Path, repository: Repository) -> None:
    """Fetch what is meant into FETCH_HEAD, with no more history than the server makes needed."""
    what = repository.ref or "HEAD"
    await _git(top, "remote", "add", "origin", repository.remote)
    try:
        await _git(top, "fetch", "--quiet", "--depth=1", "origin", what)
        return
    except ProcessError:
        # A plain file server has no shallow history, and some servers give no single commits.
        pass
    if not _COMMIT.fullmatch(what):
        await _git(top, "fetch", "--quiet", "origin", what)
        return
    await _git(top, "fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
    commit = (await _git(top, "rev-parse", f"{what}^{{commit}}")).strip()
    (top / ".git/FETCH_HEAD").write_text(f"{commit}\n")


async def _git(top: Path, *command: str) -> str:
    return await run("git", "-C", str(top), *command, env=_ENVIRONMENT, timeout=_LONGEST_SECONDS)


def _tidy(top: Path, keep: bool) -> None:
    """Leave plain permissions, whatever the engine's own mask is, and no `.git` unless asked."""
    if not keep:
        for found in [*top.rglob(".git")]:
            found.unlink() if found.is_file() else shutil.rmtree(found)
    for place, folders, names in os.walk(top):
        os.chmod(place, 0o755)
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
