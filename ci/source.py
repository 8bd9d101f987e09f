"""What git knows of this tree: commit, time, branch, and whether it differs from the commit."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ci.errors import UsageError

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LATEST = 253402300799  # the end of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Facts of the working tree; None where there is no git or no branch (a detached head).

    `time` is the commit's, in seconds since 1970; where git tells none, that of SOURCE_DATE_EPOCH.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    time: int | None = None


def read_git(root: Path, environ: Mapping[str, str]) -> Git:
    """Git facts of `root`; on GitHub, where the head is detached, the event names the branch.

    The commit is the one that is checked out: for a pull request GitHub's merge of it. Raises
    UsageError for a SOURCE_DATE_EPOCH that is no time.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    # A tree without a repository of its own may lie in somebody else's.
    if commit is None or _git(root, "rev-parse", "--show-cdup") != "":
        return Git(
            commit=environ.get("GITHUB_SHA"),
            branch=_github_branch(environ),
            dirty=False,
            time=_given_time(environ),
        )
    on_github = "GITHUB_REF" in environ
    branch = (
        _github_branch(environ, commit)
        if on_github
        else _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    )
    status = _git(root, "status", "--porcelain", "--untracked-files=normal")
    return Git(commit=commit, branch=branch, dirty=status != "", time=_time(root))


def descends(root: Path, commit: str, ancestor: str) -> bool | None:
    """Whether a commit came after `ancestor`; None where this clone does not hold both."""
    for each in (commit, ancestor):
        if (
            not _COMMIT.fullmatch(each)
            or _git(root, "cat-file", "-e", f"{each}^{{commit}}") is None
        ):
            return None
    return _git(root, "merge-base", "--is-ancestor", ancestor, commit) is not None


def _github_branch(environ: Mapping[str, str], commit: str | None = None) -> str | None:
    """Branch of a push; a pull request is on no branch, so that it can never deploy.

    Some events name the branch that a pull request goes to, and what is checked out is another
    commit than the branch's: that is on no branch either.
    """
    if environ.get("GITHUB_REF_TYPE") != "branch":
        return None
    if environ.get("GITHUB_EVENT_NAME", "").startswith("pull_request"):
        return None
    if commit and environ.get("GITHUB_SHA", commit) != commit:
        return None
    ref = environ.get("GITHUB_REF", "")
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None


def _time(root: Path) -> int | None:
    told = _git(root, "rev-list", "--max-count=1", "--timestamp", "HEAD") or ""
    seconds = told.partition(" ")[0]
    return int(seconds) if seconds.isdecimal() else None


def _given_time(environ: Mapping[str, str]) -> int | None:
    """The time that builds of a tree without git bear, as reproducible-builds.org has it."""
    given = environ.get("SOURCE_DATE_EPOCH", "")
    if not given:
        return None
    if not (given.isdecimal() and int(given) <= _LATEST):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {given!r}: give seconds since 1970 in whole, or unset it."
        )
    return int(given)


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where git is missing or says no."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
