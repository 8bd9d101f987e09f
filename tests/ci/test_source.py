from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ci.source import Git, read_git
from ci.versions import commit_tag, read_version
from tests.ci import ROOT

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch", "develop/x")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


@needs_git
def test_a_clean_tree_has_commit_and_branch(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert read_git(repository, {}) == Git(commit=commit, branch="develop/x", dirty=False)


@needs_git
@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_or_new_file_makes_the_tree_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("2")
    assert read_git(repository, {}).dirty


@needs_git
def test_a_detached_head_is_on_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert read_git(repository, {}).branch is None


@needs_git
@pytest.mark.parametrize(
    ("environ", "branch"),
    [
        ({"GITHUB_REF": "refs/heads/main", "GITHUB_REF_TYPE": "branch"}, "main"),
        ({"GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_TYPE": "branch"}, None),
        ({"GITHUB_REF": "refs/tags/v1", "GITHUB_REF_TYPE": "tag"}, None),
    ],
    ids=["push", "pull-request", "tag"],
)
def test_on_github_the_event_names_the_branch(
    repository: Path, environ: dict[str, str], branch: str | None
) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert read_git(repository, environ).branch == branch


@needs_git
def test_a_pull_request_is_on_no_branch_whatever_is_checked_out(repository: Path) -> None:
    environ = {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_TYPE": "branch"}
    assert read_git(repository, environ).branch is None


@needs_git
def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert read_git(tmp_path, {}).commit is None


def test_a_tree_without_git_is_no_error(tmp_path: Path) -> None:
    assert read_git(tmp_path, {}) == Git(commit=None, branch=None, dirty=False)


@pytest.mark.parametrize(
    ("commit", "dirty", "tag"),
    [
        ("abcdef0123" * 4, False, "sha-abcdef0"),
        ("abcdef0123" * 4, True, "sha-abcdef0-dirty"),
        (None, False, "sha-unknown"),
    ],
)
def test_the_commits_tag(commit: str | None, dirty: bool, tag: str) -> None:
    assert commit_tag(Git(commit=commit, branch=None, dirty=dirty)) == tag


def test_the_version_is_that_of_the_project_file() -> None:
    assert read_version(ROOT) == "0.0.4"
