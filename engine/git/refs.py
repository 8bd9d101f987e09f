"""A Git repository's refs, and which of them a name means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from engine.errors import EngineError
from engine.model import Directory, Secret, Service, Socket

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PEELED = "^{}"
_VERSION = re.compile(
    r"v(?P<numbers>(0|[1-9]\d*)(\.(0|[1-9]\d*)){0,2})"
    r"(-(?P<before>[0-9A-Za-z.-]+))?(\+[0-9A-Za-z.-]+)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a repository on a server is, and how it is reached."""

    url: str
    username: str = ""
    token: Secret | None = None
    header: Secret | None = None
    known_hosts: str = ""
    agent: Socket | None = None
    service: Service | None = None
    """What must run meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository as it was when it was looked at: its refs with their commits."""

    source: Remote | Directory
    refs: Mapping[str, str]
    symbolic: Mapping[str, str]
    keep_git_dir: bool = True


@dataclass(frozen=True, slots=True)
class Ref:
    """A commit, and the full name of the ref that led to it."""

    repository: Repository
    commit: str
    name: str = ""


def is_commit(text: str) -> bool:
    """Whether a text is the whole name of a commit."""
    return _COMMIT.fullmatch(text) is not None


def find(repository: Repository, name: str) -> Ref:
    """The ref that `git checkout` would take for a name. Raises EngineError if there is none."""
    if is_commit(name):
        return Ref(repository, name)
    # A branch before a tag, and the commit of an annotated tag before the tag itself.
    for full in (name, f"refs/{name}", f"refs/heads/{name}", f"refs/tags/{name}"):
        commit = repository.refs.get(full + _PEELED) or repository.refs.get(full)
        if commit is not None:
            return Ref(repository, commit, repository.symbolic.get(full, full))
    raise EngineError(f'repository does not contain ref "{name}"')


def names(repository: Repository, prefix: str, patterns: Sequence[str]) -> list[str]:
    """Short names of the refs below `prefix` that match a pattern, as `git ls-remote` takes it."""
    return [
        name.removeprefix(prefix)
        for name in repository.refs
        if name.startswith(prefix) and not name.endswith(_PEELED)
        if not patterns or any(fnmatchcase(f"/{name}", f"*/{each}") for each in patterns)
    ]


def latest_version(repository: Repository) -> Ref:
    """The tag of the highest version. Raises EngineError if no tag is one."""
    found = [tag for tag in names(repository, "refs/tags/", []) if _VERSION.fullmatch(tag)]
    if not found:
        raise EngineError("no valid semver tags found")
    return find(repository, f"refs/tags/{max(found, key=_rank)}")


def _rank(tag: str) -> tuple[object, ...]:
    """Sorts version tags as Semantic Versioning does: 1.0.0-rc.2 < 1.0.0-rc.10 < 1.0.0."""
    match = _VERSION.fullmatch(tag)
    assert match is not None
    numbers = [int(part) for part in match["numbers"].split(".")]
    before = [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in (match["before"] or "").split(".")
    ]
    return [*numbers, 0, 0][:3], match["before"] is None, before, tag
