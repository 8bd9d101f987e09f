"""Git repositories on servers and in directories, read with the machine's own `git`."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine.errors import EngineError, ProcessError
from engine.git import local
from engine.git.refs import Ref, Remote, Repository
from engine.lazy import Lazy
from engine.model import Directory
from engine.process import run
from engine.reaching import reached
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_LONGEST_SECONDS = 600
_NAMES = "--format=%(refname)"
_MARKS = "refs/brewline"
_SUBMODULES = {"GIT_ALLOW_PROTOCOL": "http:https:ssh:git"}
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


@dataclass(frozen=True, slots=True)
class _Work:
    """A new folder to work in, and how `git` reaches the repository from there."""

    folder: Path
    env: dict[str, str]
    url: str


async def looked_at(
    session: Session, source: Remote | Directory, *, keep_git_dir: bool = True
) -> Repository:
    """What there is to know of a repository. Raises EngineError if it cannot be read."""
    async with _reached(session, source) as work:
        try:
            lines = await _git(work, "ls-remote", "--symref", "--", work.url)
        except ProcessError as error:
            raise _unreadable(source, error) from None
    refs, symbolic = {}, {}
    for line in lines.splitlines():
        what, _, name = line.partition("\t")
        if what.startswith("ref: "):
            symbolic[name] = what.removeprefix("ref: ")
        elif name:
            refs[name] = what
    return Repository(source=source, refs=refs, symbolic=symbolic, keep_git_dir=keep_git_dir)


def tree(session: Session, ref: Ref, checkout: Checkout) -> Directory:
    """The files of a commit, fetched when they are first asked for."""
    source = ref.repository.source

    async def compute() -> Snapshot:
        if isinstance(source, Remote):
            place = source.url
        else:
            place = digest((await source.snapshot.get()).key, source.path)
        kept = (place, checkout.depth, checkout.tags, ref.name)
        key = digest("git tree", ref.commit, *(kept if checkout.git_dir else ()))
        known = session.snapshots.recall(key)
        if known is not None:
            return known
        async with _reached(session, source) as work:
            top = work.folder / "fs"
            top.mkdir(mode=0o755)
            try:
                await _check_out(replace(work, folder=top), ref, checkout)
            except ProcessError as error:
                raise _unreadable(source, error) from None
            await asyncio.to_thread(_tidy, top, checkout.git_dir)
            made = Snapshot((session.store.adopt(top),), key)
        session.snapshots.remember(made)
        return made

    return Directory(Lazy(compute))


async def _check_out(work: _Work, ref: Ref, checkout: Checkout) -> None:
    await _git(work, "-c", "init.defaultBranch=main", "init", "--quiet", "--template=")
    on_server = isinstance(ref.repository.source, Remote)
    if on_server:
        await _git(work, "remote", "add", "origin", work.url)
    # As recorded: tags of the history come along from a directory, and from a server if asked for.
    await _fetch(work, ref.commit, "--no-tags" if on_server else "", depth=checkout.depth)
    if checkout.tags and on_server:
        await _git(work, "fetch", "--quiet", "origin", "refs/tags/*:refs/tags/*")
    if ref.name.startswith("refs/"):
        await _git(work, "update-ref", ref.name, ref.commit)
    branch = ref.name.removeprefix("refs/heads/")
    place = [branch] if branch != ref.name else ["--detach", ref.commit]
    await _git(work, "checkout", "--quiet", "--force", *place)
    if (work.folder / ".gitmodules").exists():
        update = ("submodule", "update", "--quiet", "--init", "--recursive")
        await _git(replace(work, env=work.env | _SUBMODULES), *update)
    # The index holds times of files; without them equal checkouts are equal.
    await _git(work, "read-tree", "HEAD")


async def _fetch(work: _Work, commit: str, *options: str, depth: int) -> None:
    """Fetch a commit, with no more history than the server makes needed."""
    fetch = ("fetch", "--quiet", "--force", "--update-head-ok", *filter(None, options))
    mark = f"{_MARKS}/commit"
    try:
        limit = (f"--depth={depth}",) if depth > 0 else ()
        await _git(work, *fetch, *limit, work.url, f"{commit}:{mark}")
    except ProcessError:
        # A plain file server has no shallow history, and some servers give no single commits.
        everything = [f"+refs/{kind}/*:{_MARKS}/{kind}/*" for kind in ("heads", "tags")]
        await _git(work, *fetch, work.url, *everything)
    for name in (await _git(work, "for-each-ref", _NAMES, _MARKS)).split():
        await _git(work, "update-ref", "-d", name)


async def common_ancestor(session: Session, one: Ref, other: Ref) -> Ref:
    """The best common ancestor of two commits. Raises EngineError if they have none."""
    async with AsyncExitStack() as stack:
        top = await stack.enter_async_context(_reached(session, one.repository.source))
        await _git(top, "init", "--quiet", "--bare", "--template=")
        for ref in (one, other):
            source = ref.repository.source
            work = await stack.enter_async_context(_reached(session, source))
            try:
                await _fetch(replace(work, folder=top.folder), ref.commit, "--no-tags", depth=0)
            except ProcessError as error:
                raise _unreadable(source, error) from None
            await _git(top, "update-ref", f"refs/heads/{ref.commit}", ref.commit)
        try:
            found = await _git(top, "merge-base", one.commit, other.commit)
        except ProcessError:
            said = f"{one.commit} and {other.commit} have no common ancestor"
            raise EngineError(said) from None
    return Ref(one.repository, found.strip())


@asynccontextmanager
async def _reached(session: Session, source: Remote | Directory) -> AsyncIterator[_Work]:
    """A repository that `git` can read, and a new folder for what comes of it."""
    folder = session.store.folder("git")
    secret = session.folder("git")
    with ExitStack() as stack:
        try:
            if isinstance(source, Remote):
                async with reached(session, source.url, source.service) as url:
                    env = _environment(session, source, secret, url)
                    yield _Work(folder, env, source.url)
            else:
                held = await source.snapshot.get()
                opening = local.opened(session, held, source)
                repository = await asyncio.to_thread(stack.enter_context, opening)
                yield _Work(folder, local.ENVIRONMENT, f"file://{quote(str(repository.git_dir))}")
        finally:
            for each in (folder, secret):
                await asyncio.to_thread(shutil.rmtree, each, ignore_errors=True)


def _environment(session: Session, remote: Remote, secret: Path, url: str) -> dict[str, str]:
    """Secrets are in the environment and in memory: arguments are for everybody to see."""
    ssh = "ssh -o BatchMode=yes"
    if remote.known_hosts:
        place = secret / "known_hosts"
        place.write_text(remote.known_hosts + "\n")
        ssh += f" -o StrictHostKeyChecking=yes -o UserKnownHostsFile={place}"
    env = {
        "GIT_TERMINAL_PROMPT": "0",  # nobody is there to answer
        **_SUBMODULES,
        "GIT_SSH_COMMAND": ssh,
        "LC_ALL": "C",
    }
    if remote.agent is not None:
        env["SSH_AUTH_SOCK"] = remote.agent.path
    config = {}
    if url != remote.url:
        config[f"url.{url}.insteadOf"] = remote.url
    if header := _authorization(session, remote):
        config[f"http.{url}.extraHeader"] = f"Authorization: {header}"
    for number, (name, value) in enumerate(config.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env | {"GIT_CONFIG_COUNT": str(len(config))}


def _authorization(session: Session, remote: Remote) -> str:
    if remote.header is not None:
        return session.plaintext(remote.header)
    if remote.token is None:
        return ""
    pair = f"{remote.username or 'x-access-token'}:{session.plaintext(remote.token)}"
    return f"basic {base64.b64encode(pair.encode()).decode()}"


async def _git(work: _Work, *command: str) -> str:
    # The client may be a hook of git's, with a repository of its own in the environment.
    without = ("env", "-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE")
    ceiling = f"GIT_CEILING_DIRECTORIES={work.folder.parent}"
    whole = (*without, ceiling, "git", "-C", str(work.folder), *command)
    return await run(*whole, env=work.env, timeout=_LONGEST_SECONDS)


def _unreadable(source: Remote | Directory, error: ProcessError) -> EngineError:
    if not isinstance(source, Remote):
        return local.failed(error)
    said = " ".join(error.output.replace("fatal: ", "").split())
    return EngineError(f"failed to read git repository {source.url}: {said}")


def _tidy(top: Path, keep: bool) -> None:
    """Leave what is the same each time: plain permissions, one time, and no `.git` unless asked."""
    for name in ("FETCH_HEAD", "ORIG_HEAD", "logs", _MARKS):
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
