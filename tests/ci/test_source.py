from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.source import Git, descends, read_git
from ci.versions import read_version
from tests.ci import ROOT

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


TIME = 1700000000


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        env={**os.environ, "GIT_COMMITTER_DATE": f"{TIME} +0130"},
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
    found = read_git(repository, {})
    assert found == Git(commit=commit, branch="develop/x", dirty=False, time=TIME)


@needs_git
@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_or_new_file_makes_the_tree_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("2")
    assert read_git(repository, {}).dirty


@needs_git
def test_a_commit_descends_from_those_before_it(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "two")
    second = git(repository, "rev-parse", "HEAD")
    assert descends(repository, second, first) is True
    assert descends(repository, first, second) is False
    for unknown in ("0" * 40, "--help", "HEAD", ""):
        assert descends(repository, unknown, first) is None


@needs_git
def test_a_shallow_clone_knows_no_order(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "two")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), str(clone))
    assert descends(clone, git(repository, "rev-parse", "HEAD"), first) is None


def test_without_git_the_time_is_the_one_that_reproducible_builds_are_given(tmp_path: Path) -> None:
    assert read_git(tmp_path, {}).time is None
    assert read_git(tmp_path, {"SOURCE_DATE_EPOCH": "1700000000"}).time == 1700000000


@needs_git
def test_the_time_of_a_commit_is_not_for_the_environment_to_say(repository: Path) -> None:
    assert read_git(repository, {"SOURCE_DATE_EPOCH": "1"}).time == TIME


@pytest.mark.parametrize("given", ["now", "-1", "1.5", "253402300800"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is .*: give seconds since 1970"):
        read_git(tmp_path, {"SOURCE_DATE_EPOCH": given})


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
        (
            {
                "GITHUB_REF": "refs/heads/main",
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_EVENT_NAME": "pull_request_target",
            },
            None,
        ),
        (
            {
                "GITHUB_REF": "refs/heads/main",
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_SHA": "0" * 40,
            },
            None,
        ),
    ],
    ids=["push", "pull-request", "tag", "pull-request-target", "other-commit-than-the-branch's"],
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


@needs_git
def test_a_merge_of_github_is_the_commit_that_is_built(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "main")
    (repository / "other").write_text("2")
    git(repository, "add", "other")
    git(repository, "commit", "--quiet", "--message", "two")
    git(repository, "checkout", "--quiet", "--detach", "develop/x")
    git(repository, "merge", "--quiet", "--no-ff", "--message", "merge", "main")
    merge = git(repository, "rev-parse", "HEAD")
    environ = {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": merge}
    assert read_git(repository, environ) == Git(commit=merge, branch=None, dirty=False, time=TIME)


@needs_git
def test_a_shallow_clone_has_the_same_facts(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (repository / "file").write_text("2")
    git(repository, "commit", "--quiet", "--all", "--message", "two")
    clone = tmp_path_factory.mktemp("shallow") / "clone"
    git(repository, "clone", "--quiet", "--depth=1", f"file://{repository}", str(clone))
    assert git(clone, "rev-parse", "--is-shallow-repository") == "true"
    assert read_git(clone, {}) == read_git(repository, {})


@needs_git
def test_a_tree_in_somebody_elses_repository_has_no_commit(repository: Path) -> None:
    (repository / "below").mkdir()
    assert read_git(repository / "below", {}) == Git(commit=None, branch=None, dirty=False)


def test_without_the_program_git_there_is_what_github_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    environ = {"GITHUB_SHA": "a" * 40, "GITHUB_REF": "refs/heads/main", "GITHUB_REF_TYPE": "branch"}
    assert read_git(ROOT, environ) == Git(commit="a" * 40, branch="main", dirty=False)


def test_a_tree_without_git_is_no_error(tmp_path: Path) -> None:
    assert read_git(tmp_path, {}) == Git(commit=None, branch=None, dirty=False)


def test_the_version_is_that_of_the_project_file() -> None:
    assert read_version(ROOT) == "0.0.4"


@pytest.mark.parametrize(
    "text", [None, "[project]\n", "version = 1\n", "project = 1\n", "[project\n"], ids=repr
)
def test_a_project_file_without_a_version_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match="pyproject.toml tells no version"):
        read_version(tmp_path)
