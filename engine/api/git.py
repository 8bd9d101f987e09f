"""Query.git, Directory.asGit, and the fields of GitRepository and GitRef."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.calls import field
from engine.changes import Changeset, changeset
from engine.errors import EngineError
from engine.git import fetching, refs
from engine.git.fetching import Checkout
from engine.git.local import uncommitted_gone
from engine.git.refs import Ref, Remote, Repository
from engine.model import Directory, Secret, Service, Socket

if TYPE_CHECKING:
    from engine.session import Session

_URL = re.compile(r"(?P<scheme>[a-zA-Z0-9]+)://.+")
_SCP = re.compile(r"[^/@]+@[^/:]+:.+")
_SCHEMES = ("http", "https", "ssh", "git")


def _url(text: str) -> str:
    """The URL that a text stands for; without a scheme, that of a web server."""
    if text.startswith("-"):
        raise EngineError(f"failed to parse Git URL: {text!r}")
    match = _URL.fullmatch(text)
    if match is not None and match["scheme"].lower() not in _SCHEMES:
        raise EngineError(f'failed to parse Git URL: invalid protocol "{match["scheme"]}"')
    return text if match is not None or _SCP.fullmatch(text) else f"https://{text}"


@field("Query", "git")
async def repository(
    session: Session,
    _: None,
    url: str,
    keep_git_dir: bool | None = True,
    ssh_known_hosts: str = "",
    ssh_auth_socket: Socket | None = None,
    http_auth_username: str = "",
    http_auth_token: Secret | None = None,
    http_auth_header: Secret | None = None,
    experimental_service_host: Service | None = None,
) -> Repository:
    """A Git repository on a server, as it is when it is first asked for."""
    remote = Remote(
        url=_url(url),
        username=http_auth_username,
        token=http_auth_token,
        header=http_auth_header,
        known_hosts=ssh_known_hosts,
        agent=ssh_auth_socket,
        service=experimental_service_host,
    )
    return await fetching.looked_at(session, remote, keep_git_dir=keep_git_dir is not False)


@field("Directory", "asGit")
async def as_git(session: Session, directory: Directory) -> Repository:
    """The Git repository that the directory, its parent or the like holds, as it is."""
    return await fetching.looked_at(session, directory)


@field("GitRepository", "url")
async def url(session: Session, held: Repository) -> str | None:
    """The repository's URL; none of one in a directory."""
    return held.source.url if isinstance(held.source, Remote) else None


@field("GitRepository", "head")
async def head(session: Session, held: Repository) -> Ref:
    """What the repository's HEAD points to."""
    return refs.find(held, "HEAD")


@field("GitRepository", "ref")
async def ref(session: Session, held: Repository, name: str) -> Ref:
    """A branch, a tag, a commit or any other ref, by its short or full name."""
    return refs.find(held, name)


@field("GitRepository", "branch")
async def branch(session: Session, held: Repository, name: str) -> Ref:
    """A branch."""
    return refs.find(held, f"refs/heads/{name.removeprefix('refs/heads/')}")


@field("GitRepository", "tag")
async def tag(session: Session, held: Repository, name: str) -> Ref:
    """A tag; of an annotated one the commit that it stands for."""
    return refs.find(held, f"refs/tags/{name.removeprefix('refs/tags/')}")


@field("GitRepository", "commit")
async def commit(session: Session, held: Repository, id: str) -> Ref:  # noqa: A002 - the API's name
    """A commit by its whole name."""
    if not refs.is_commit(id):
        raise EngineError(f'invalid commit SHA: "{id}"')
    return Ref(held, id)


@field("GitRepository", "latestVersion")
async def latest_version(session: Session, held: Repository) -> Ref:
    """The tag of the highest version, in the form v1.2.3."""
    return refs.latest_version(held)


@field("GitRepository", "tags")
async def tags(
    session: Session, held: Repository, patterns: Sequence[str] | None = None
) -> list[str]:
    """The names of the tags, or of those that match a pattern."""
    return refs.names(held, "refs/tags/", patterns or ())


@field("GitRepository", "branches")
async def branches(
    session: Session, held: Repository, patterns: Sequence[str] | None = None
) -> list[str]:
    """The names of the branches, or of those that match a pattern."""
    return refs.names(held, "refs/heads/", patterns or ())


@field("GitRepository", "uncommitted")
async def uncommitted(session: Session, held: Repository) -> Changeset:
    """What is not committed yet: changed files, staged or not, and new ones not ignored."""
    if isinstance(held.source, Remote):
        files = fetching.tree(session, refs.find(held, "HEAD"), Checkout())
        return changeset(session, files, files)
    return changeset(session, uncommitted_gone(session, held.source), held.source)


@field("GitRef", "commit")
async def ref_commit(session: Session, held: Ref) -> str:
    """The name of the commit."""
    return held.commit


@field("GitRef", "ref")
async def ref_name(session: Session, held: Ref) -> str:
    """The full name of the ref, or the commit's where there is none."""
    return held.name or held.commit


@field("GitRef", "tree")
async def tree(
    session: Session,
    held: Ref,
    discard_git_dir: bool = False,
    depth: int = 1,
    include_tags: bool = False,
) -> Directory:
    """The files of the commit, submodules included."""
    keep = held.repository.keep_git_dir and not discard_git_dir
    return fetching.tree(session, held, Checkout(git_dir=keep, depth=depth, tags=include_tags))


@field("GitRef", "commonAncestor")
async def common_ancestor(session: Session, held: Ref, other: Ref) -> Ref:
    """The best common ancestor of two commits."""
    return await fetching.common_ancestor(session, held, other)


async def at_address(session: Session, text: str) -> tuple[Ref, str]:
    """The ref and the folder that an address URL#REF:FOLDER names; HEAD and the top by default."""
    place, _, fragment = text.partition("#")
    name, _, folder = fragment.partition(":")
    made: Repository = await repository(session, None, place)
    return refs.find(made, name or "HEAD"), folder
