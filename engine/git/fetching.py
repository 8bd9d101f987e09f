"""Git repositories on servers, read with the machine's own `git`."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, ProcessError
from engine.git.refs import Ref, Remote, Repository
from engine.lazy import Lazy
from engine.model import Directory
from engine.process import run
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_LONGEST_SECONDS = 600
_NAMES = "--format=%(refname)"
_SECOND = 1
"""When every file of a tree was changed: the same each time, and not 0, which some tools take for
a file that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What of a repository a tree has beside its files."""

    git_dir: bool = True
    depth: int = 1
    """Commits of history; all for 0."""
    tags: bool = False


async def looked_at(session: Session, remote: Remote, *, keep_git_dir: bool) -> Repository:
    """What a server says of a repository. Raises EngineError if it says nothing."""
    async with _folder(session, remote) as (folder, env):
        try:
            lines = await _git(folder, env, "ls-remote", "--symref", "--", remote.url)
        except ProcessError as error:
            raise _unreadable(remote, error) from None
    refs, symbolic = {}, {}
    for line in lines.splitlines():
        what, _, name = line.partition("\t")
        if what.startswith("ref: "):
            symbolic[name] = what.removeprefix("ref: ")
        elif name:
            refs[name] = what
    return Repository(remote=remote, refs=refs, symbolic=symbolic, keep_git_dir=keep_git_dir)


def tree(session: Session, ref: Ref, checkout: Checkout) -> Directory:
    """The files of a commit, fetched when they are first asked for."""

    async def compute() -> Snapshot:
        kept = (ref.repository.remote.url, checkout.depth, checkout.tags, ref.name)
        key = digest("git tree", ref.commit, *(kept if checkout.git_dir else ()))
        known = session.snapshots.recall(key)
        if known is not None:
            return known
        remote = ref.repository.remote
        async with _folder(session, remote) as (folder, env):
            top = folder / "fs"
            top.mkdir(mode=0o755)
            try:
                await _check_out(top, env, ref, checkout)
            except ProcessError as error:
                raise _unreadable(remote, error) from None
            await asyncio.to_thread(_tidy, top, checkout.git_dir)
            made = Snapshot((session.store.adopt(top),), key)
        session.snapshots.remember(made)
        return made

    return Directory(Lazy(compute))


async def _check_out(top: Path, env: Mapping[str, str], ref: Ref, checkout: Checkout) -> None:
    await _git(top, env, "-c", "init.defaultBranch=main", "init", "--quiet", "--template=")
    await _git(top, env, "remote", "add", "origin", ref.repository.remote.url)
    await _fetch(top, env, ref, depth=checkout.depth)
    if checkout.tags:
        await _git(top, env, "fetch", "--quiet", "origin", "refs/tags/*:refs/tags/*")
    if ref.name.startswith("refs/"):
        await _git(top, env, "update-ref", ref.name, ref.commit)
    branch = ref.name.removeprefix("refs/heads/")
    place = [branch] if branch != ref.name else ["--detach", ref.commit]
    await _git(top, env, "checkout", "--quiet", "--force", *place)
    if (top / ".gitmodules").exists():
        update = ("submodule", "update", "--quiet", "--init", "--recursive")
        await _git(top, env, *update)
    # The index holds times of files; without them equal checkouts are equal.
    await _git(top, env, "read-tree", "HEAD")


async def _fetch(top: Path, env: Mapping[str, str], ref: Ref, *, depth: int) -> None:
    """Fetch a commit, with no more history than the server makes needed."""
    url = ref.repository.remote.url
    fetch = ("fetch", "--quiet", "--no-tags", "--force", "--update-head-ok")
    try:
        limit = (f"--depth={depth}",) if depth > 0 else ()
        await _git(top, env, *fetch, *limit, url, ref.commit)
    except ProcessError:
        # A plain file server has no shallow history, and some servers give no single commits.
        everything = [f"+refs/{kind}/*:refs/brewline/{kind}/*" for kind in ("heads", "tags")]
        await _git(top, env, *fetch, url, *everything)
        for name in (await _git(top, env, "for-each-ref", _NAMES, "refs/brewline")).split():
            await _git(top, env, "update-ref", "-d", name)


async def common_ancestor(session: Session, one: Ref, other: Ref) -> Ref:
    """The best common ancestor of two commits. Raises EngineError if they have none."""
    async with AsyncExitStack() as stack:
        top, env = await stack.enter_async_context(_folder(session, one.repository.remote))
        await _git(top, env, "init", "--quiet", "--bare", "--template=")
        for ref in (one, other):
            remote = ref.repository.remote
            _, its_env = await stack.enter_async_context(_folder(session, remote))
            try:
                await _fetch(top, its_env, ref, depth=0)
            except ProcessError as error:
                raise _unreadable(remote, error) from None
            await _git(top, env, "update-ref", f"refs/heads/{ref.commit}", ref.commit)
        try:
            found = await _git(top, env, "merge-base", one.commit, other.commit)
        except ProcessError:
            said = f"{one.commit} and {other.commit} have no common ancestor"
            raise EngineError(said) from None
    return Ref(one.repository, found.strip())


@asynccontextmanager
async def _folder(session: Session, remote: Remote) -> AsyncIterator[tuple[Path, dict[str, str]]]:
    """A new folder to work in, and what the environment of `git` there tells of the remote."""
    folder = session.store.folder("git")
    secret = session.folder("git")
    try:
        yield folder, _environment(session, remote, secret)
    finally:
        for each in (folder, secret):
            await asyncio.to_thread(shutil.rmtree, each, ignore_errors=True)


def _environment(session: Session, remote: Remote, secret: Path) -> dict[str, str]:
    """Secrets are in the environment and in memory: arguments are for everybody to see."""
    ssh = "ssh -o BatchMode=yes"
    if remote.known_hosts:
        place = secret / "known_hosts"
        place.write_text(remote.known_hosts + "\n")
        ssh += f" -o StrictHostKeyChecking=yes -o UserKnownHostsFile={place}"
    env = {
        "GIT_TERMINAL_PROMPT": "0",  # nobody is there to answer
        "GIT_ALLOW_PROTOCOL": "http:https:ssh:git",  # of submodules too
        "GIT_SSH_COMMAND": ssh,
        "LC_ALL": "C",
    }
    if remote.agent is not None:
        env["SSH_AUTH_SOCK"] = remote.agent.path
    header = _authorization(session, remote)
    if header:
        env["GIT_CONFIG_COUNT"] = "1"
        env["GIT_CONFIG_KEY_0"] = f"http.{remote.url}.extraHeader"
        env["GIT_CONFIG_VALUE_0"] = f"Authorization: {header}"
    return env


def _authorization(session: Session, remote: Remote) -> str:
    if remote.header is not None:
        return session.plaintext(remote.header)
    if remote.token is None:
        return ""
    pair = f"{remote.username or 'x-access-token'}:{session.plaintext(remote.token)}"
    return f"basic {base64.b64encode(pair.encode()).decode()}"


async def _git(top: Path, env: Mapping[str, str], *command: str) -> str:
    # The client may be a hook of git's, with a repository of its own in the environment.
    without = ("env", "-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE")
    ceiling = f"GIT_CEILING_DIRECTORIES={top.parent}"
    whole = (*without, ceiling, "git", "-C", str(top), *command)
    return await run(*whole, env=env, timeout=_LONGEST_SECONDS)


def _unreadable(remote: Remote, error: ProcessError) -> EngineError:
    said = " ".join(error.output.replace("fatal: ", "").split())
    return EngineError(f"failed to read git repository {remote.url}: {said}")


def _tidy(top: Path, keep: bool) -> None:
    """Leave what is the same each time: plain permissions, one time, and no `.git` unless asked."""
    for name in ("FETCH_HEAD", "ORIG_HEAD", "logs"):
        place = top / ".git" / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    if not keep:
        for found in [*top.rglob(".git")]:
            found.unlink() if found.is_file() else shutil.rmtree(found)
    for folder, _, files in os.walk(top, topdown=False):
        for file in (Path(folder, name) for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
            os.utime(file, (_SECOND, _SECOND), follow_symlinks=False)
        os.chmod(folder, 0o755)
        os.utime(folder, (_SECOND, _SECOND))
