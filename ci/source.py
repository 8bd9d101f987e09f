"""What git knows of this tree: commit, time, branch, and whether it differs from the commit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ci.errors import Refused, UsageError
from ci.origin import public_url
from ci.sourcetree import IMAGE_SOURCE

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LATEST = 253402300799  # the end of the year 9999
_UNTOLD = "what git does not tell"
# What a hook, and so what it calls, is told of its repository: `git rev-parse --local-env-vars`.
_OF_A_REPOSITORY = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "COMMON_DIR", "INDEX_FILE", "OBJECT_DIRECTORY", "PREFIX"),
        *("ALTERNATE_OBJECT_DIRECTORIES", "IMPLICIT_WORK_TREE", "INTERNAL_SUPER_PREFIX"),
        *("CONFIG", "CONFIG_PARAMETERS", "CONFIG_COUNT", "SHALLOW_FILE", "GRAFT_FILE"),
        *("NO_REPLACE_OBJECTS", "REPLACE_REF_BASE"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Facts of the working tree; None where there is no git or no branch (a detached head).

    `time` is the commit's, in seconds since 1970; where git tells none, that of SOURCE_DATE_EPOCH.
    `changed` is the first file that is not as the commit has it, None where there is no such file,
    and a phrase where nobody can tell whether there is. `origin` is the URL of the repository that
    this one was cloned from, None where that is not one for everybody.
    """

    commit: str | None
    branch: str | None
    time: int | None = None
    changed: str | None = None
    origin: str | None = None

    @property
    def dirty(self) -> bool:
        """Whether the tree holds something that its commit does not."""
        return self.changed is not None

    def require_clean(self, act: str) -> None:
        """Raise Refused where the tree is dirty; `act` is what must wait, as "deploying"."""
        if self.dirty:
            raise Refused(
                "The tree has changes that no commit holds, "
                f"as in {self.changed}: commit or undo them before {act}."
            )


def read_git(root: Path, environ: Mapping[str, str]) -> Git:
    """Git facts of `root`; on GitHub, where the head is detached, the event names the branch.

    The commit is the one that is checked out: for a pull request GitHub's merge of it. Raises
    UsageError for a SOURCE_DATE_EPOCH that is no time.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    # A tree without a repository of its own may lie in somebody else's.
    if commit is None or _git(root, "rev-parse", "--show-cdup") != "":
        told = environ.get("GITHUB_SHA") or None
        return Git(
            commit=told,
            branch=_github_branch(environ),
            time=_given_time(environ),
            # The event names a commit, and nothing shows that the files here are that commit's.
            changed=_UNTOLD if told else None,
        )
    on_github = "GITHUB_REF" in environ
    branch = _github_branch(environ, commit) if on_github else _branch(root)
    return Git(
        commit=commit,
        branch=branch,
        time=_time(root),
        changed=_changed(root),
        origin=public_url(_git(root, "remote", "get-url", "origin") or ""),
    )


def descends(root: Path, commit: str, ancestor: str) -> bool | None:
    """Whether a commit came after `ancestor`; None where this clone does not hold both."""
    for each in (commit, ancestor):
        if (
            not _COMMIT.fullmatch(each)
            or _git(root, "cat-file", "-e", f"{each}^{{commit}}") is None
        ):
            return None
    return _git(root, "merge-base", "--is-ancestor", ancestor, commit) is not None


def _branch(root: Path) -> str | None:
    # Not its short form: beside a tag of the same name that is `heads/main`.
    name = _git(root, "symbolic-ref", "--quiet", "HEAD")
    return name.removeprefix("refs/heads/") if name else None


def _changed(root: Path) -> str | None:
    """The first file that is not as the commit has it, or is in the image alone."""
    with TemporaryDirectory() as folder:
        # In the tree's own index, files may be marked as to be taken for unchanged.
        git = partial(_git, root, index=Path(folder) / "index")
        git("-c", "core.sparseCheckout=false", "read-tree", "HEAD")
        # Settings may have git overlook what is changed in a submodule.
        status = git(
            *("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none")
        )
        tracked = git("ls-files", "-z", "--recurse-submodules")
    if status is None or tracked is None:
        return _UNTOLD
    # What git was told to ignore, and what is in a repository of its own, is built into the image
    # all the same.
    unknown = _built_in(root) - set(tracked.split("\0"))
    return status.split("\n")[0].partition(" ")[2] or min(unknown, default=None)


def _built_in(root: Path) -> set[str]:
    """The files that the image is built from, by name as git's output is read."""
    found = [path for pattern in IMAGE_SOURCE for path in root.glob(pattern)]
    folders = [path for path in found if path.is_dir() and not path.is_symlink()]
    found += [below for folder in folders for below in folder.rglob("*")]
    return {
        os.fsencode(path.relative_to(root)).decode(errors="replace")
        for path in found
        if path.is_symlink() or not path.is_dir()
    }


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


def _git(root: Path, *arguments: str, index: Path | None = None) -> str | None:
    """Output of a git command, or None where git is missing or says no."""
    # Of another owner's repository git tells nothing, lest its settings run something; whoever
    # asks here runs the tree's own code already.
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments]
    environ = {name: value for name, value in os.environ.items() if name not in _OF_A_REPOSITORY}
    if index:
        environ["GIT_INDEX_FILE"] = str(index)
    try:
        done = subprocess.run(
            command,
            env=environ,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Names are bytes to git.
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
