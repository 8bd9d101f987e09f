"""What git knows of this tree: commit, time, branch, and whether it differs from the commit."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Facts of the working tree; None where there is no git or no branch (a detached head).

    `time` is the commit's, in seconds since 1970.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    time: int | None = None


def read_git(root: Path, environ: Mapping[str, str]) -> Git:
    """Git facts of `root`; on GitHub, where the head is detached, the event names the branch.

    The commit is the one that is checked out: for a pull request GitHub's merge of it.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    # A tree without a repository of its own may lie in somebody else's.
    if commit is None or _git(root, "rev-parse", "--show-cdup") != "":
        return Git(commit=environ.get("GITHUB_SHA"), branch=_github_branch(environ), dirty=False)
    on_github = "GITHUB_REF" in environ
    branch = (
        _github_branch(environ, commit)
        if on_github
        else _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    )
    status = _git(root, "status", "--porcelain", "--untracked-files=normal")
    return Git(commit=commit, branch=branch, dirty=status != "", time=_time(root))


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


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where git is missing or says no."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
