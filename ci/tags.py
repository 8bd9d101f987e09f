"""The names that an image may bear: pure functions of the commit, the branch and the version."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ci.errors import UsageError
from ci.source import Git

GITHUB_REGISTRY = "ghcr.io"
LONGEST = 128
"""Characters that a tag may have, by the OCI distribution specification."""

# The canonical form of PEP 440 (its appendix B), with an epoch and a local part told apart: a tag
# may have neither "!" nor "+". One spelling of a version alone, so that it is one tag.
_VERSION = re.compile(
    r"([1-9][0-9]*!)?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*((a|b|rc)(0|[1-9][0-9]*))?"
    r"(\.post(0|[1-9][0-9]*))?(\.dev(0|[1-9][0-9]*))?(\+[a-z0-9]+(\.[a-z0-9]+)*)?"
)
_LABEL = r"[a-z0-9]+(-+[a-z0-9]+)*"
_HOST = re.compile(
    rf"(localhost|{_LABEL}(\.{_LABEL})+|\[[0-9a-f:]+\])(:[0-9]{{1,5}})?|{_LABEL}:[0-9]{{1,5}}"
)
_PATH = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_LONGEST_PATH = 255


def commit_tag(git: Git) -> str:
    """`sha-<7>` of the commit; a tree that differs from it says so, and one without git too."""
    if git.commit is None:
        return "sha-unknown"
    return f"sha-{git.commit[:7]}" + ("-dirty" if git.dirty else "")


def moving_tags(git: Git, version: str) -> tuple[str, ...]:
    """What promotion may put on the image of this tree: none for one that no commit holds.

    Raises UsageError for a version that is not fit for a tag.
    """
    if git.commit is None or git.dirty or git.branch is None:
        return ()
    if git.branch == "main":
        return ("latest",)
    if git.branch == "develop" or git.branch.startswith("develop/"):
        return (_versioned("develop-", version),)
    return ()


def release_tag(version: str) -> str:
    """`v<version>`; raises UsageError for a version that is not fit for a tag."""
    return _versioned("v", version)


def require_fit(git: Git, version: str) -> None:
    """Raise UsageError for a version that some tag of this tree cannot hold."""
    release_tag(version)
    moving_tags(git, version)


def repository(registry: str, environ: Mapping[str, str]) -> str:
    """`host/path` that images go to: `registry` as given, else GitHub's of the repository.

    A path that is not given is GitHub's `owner/repo` in lower case, or `brewline` elsewhere.
    Raises UsageError where there is none, or one that no registry takes.
    """
    ours = environ.get("GITHUB_REPOSITORY", "")
    if not registry and not ours:
        raise UsageError("No registry is named to publish to: give --registry HOST/PATH.")
    host, _, path = (registry or GITHUB_REGISTRY).rstrip("/").lower().partition("/")
    port = host.rpartition(":")[2]
    if not _HOST.fullmatch(host) or (port.isdecimal() and not 0 < int(port) < 65536):
        raise UsageError(
            f"{registry!r} does not begin with a registry's host: give --registry HOST/PATH, "
            "such as ghcr.io/owner/name or localhost:5000."
        )
    path = path or ours.lower() or "brewline"
    if not _PATH.fullmatch(path) or len(path) > _LONGEST_PATH:
        raise UsageError(
            f"No registry takes an image of the name {path!r}: give --registry HOST/PATH with "
            "letters, digits and single separators in PATH, and no tag."
        )
    return f"{host}/{path}"


def _versioned(prefix: str, version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"The version {version!r} is not one of PEP 440 in its canonical form, such as 1.2.3 "
            "or 1.2.3rc1: correct it in pyproject.toml."
        )
    for part, character in (("an epoch", "!"), ("a local part", "+")):
        if character in version:
            raise UsageError(
                f"The version {version!r} has {part}, and no tag may hold {character!r}: "
                "correct it in pyproject.toml."
            )
    tag = f"{prefix}{version}"
    if len(tag) > LONGEST:
        raise UsageError(
            f"The tag of the version {version[:20]}… would have {len(tag)} characters, and "
            f"{LONGEST} are the most: shorten it in pyproject.toml."
        )
    return tag
