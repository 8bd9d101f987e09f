"""What git knows of this tree: commit, branch, and whether the tree differs from the commit."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Facts of the working tree; None where there is no git or no branch (a detached head)."""

    commit: str | None
    branch: str | None
    dirty: bool


def read_git(root: Path, environ: Mapping[str, str]) -> Git:
    """Git facts of `root`; on GitHub, where the head is detached, the event names the branch."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return Git(commit=environ.get("GITHUB_SHA"), branch=_github_branch(environ), dirty=False)
    on_github = "GITHUB_REF" in environ
    branch = (
        _github_branch(environ)
        if on_github
        else _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    )
    status = _git(root, "status", "--porcelain", "--untracked-files=normal")
    return Git(commit=commit, branch=branch, dirty=status != "")


def _github_branch(environ: Mapping[str, str]) -> str | None:
    """Branch of a push; a pull request is on no branch, so that it can never deploy."""
    if environ.get("GITHUB_REF_TYPE") != "branch":
        return None
    ref = environ.get("GITHUB_REF", "")
    return ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where git is missing or says no."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
