from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ci.errors import Refused, UsageError
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
    assert found == Git(commit=commit, branch="develop/x", time=TIME)


@needs_git
@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_or_new_file_makes_the_tree_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("2")
    assert read_git(repository, {}).changed == name


@needs_git
@pytest.mark.parametrize("name", ["pipeline/build/new.py", "dags/new.py", "dags/.airflowignore"])
def test_a_file_that_git_ignores_and_the_image_has_makes_the_tree_dirty(
    repository: Path, name: str
) -> None:
    (repository / ".git/info/exclude").write_text("/pipeline\n/dags\n")
    (repository / name).parent.mkdir(parents=True)
    (repository / name).with_suffix(".pyc").touch()
    assert not read_git(repository, {}).dirty
    (repository / name).touch()
    assert read_git(repository, {}).changed == name


@needs_git
def test_a_repository_of_its_own_that_is_built_into_the_image_makes_the_tree_dirty(
    repository: Path,
) -> None:
    (repository / ".git/info/exclude").write_text("/dags/theirs\n")
    nested = repository / "dags/theirs"
    nested.mkdir(parents=True)
    git(nested, "init", "--quiet")
    (nested / "README.md").touch()
    assert not read_git(repository, {}).dirty
    (nested / "theirs.py").touch()
    assert git(repository, "status", "--porcelain") == ""
    assert read_git(repository, {}).changed == "dags/theirs/theirs.py"


@pytest.fixture
def submodule(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submodule among the DAGs, committed."""
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "--quiet")
    (other / ".gitignore").write_text("/ignored*\n")
    (other / "theirs.py").touch()
    git(other, "add", ".")
    git(other, "commit", "--quiet", "--message", "one")
    allowed = ("-c", "protocol.file.allow=always")
    git(repository, *allowed, "submodule", "--quiet", "add", str(other), "dags/theirs")
    git(repository, "commit", "--quiet", "--message", "a submodule")
    return repository / "dags/theirs"


@needs_git
def test_a_file_that_a_submodule_ignores_and_the_image_has_makes_the_tree_dirty(
    repository: Path, submodule: Path
) -> None:
    (submodule / "ignored.txt").touch()
    assert not read_git(repository, {}).dirty
    (submodule / "ignored.py").touch()
    assert git(repository, "status", "--porcelain") == ""
    assert read_git(repository, {}).changed == "dags/theirs/ignored.py"


@needs_git
def test_a_changed_submodule_that_git_is_told_to_overlook_makes_the_tree_dirty(
    repository: Path, submodule: Path
) -> None:
    git(repository, "config", "submodule.dags/theirs.ignore", "all")
    assert not read_git(repository, {}).dirty
    (submodule / "theirs.py").write_text("1")
    assert git(repository, "status", "--porcelain") == ""
    assert read_git(repository, {}).changed == "dags/theirs"


@needs_git
def test_names_in_the_image_that_are_no_text_are_known_to_git(repository: Path) -> None:
    (repository / "dags").mkdir()
    Path(os.fsdecode(os.fsencode(repository) + b"/dags/caf\xe9.py")).touch()
    (repository / 'dags/\u00fc "x".py').touch()
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "two")
    assert not read_git(repository, {}).dirty


@needs_git
def test_a_repository_that_the_environment_names_is_not_this_one(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of git's, or in a shell that was started by one."""
    before = read_git(repository, {})
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert read_git(repository, {}) == before != Git(commit=None, branch=None)


@needs_git
@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_changed_file_that_git_is_told_to_overlook_makes_the_tree_dirty(
    repository: Path, mark: str
) -> None:
    git(repository, "update-index", mark, "file")
    assert not read_git(repository, {}).dirty
    (repository / "file").write_text("2")
    assert git(repository, "status", "--porcelain") == ""
    assert read_git(repository, {}).changed == "file"
    (repository / "file").unlink()
    with pytest.raises(Refused, match="no commit holds, as in file: commit or undo them before"):
        read_git(repository, {}).require_clean("deploying")


@needs_git
def test_a_sparse_checkout_is_dirty(repository: Path) -> None:
    (repository / "pipeline").mkdir()
    (repository / "pipeline/a.py").touch()
    git(repository, "add", "pipeline")
    git(repository, "commit", "--quiet", "--message", "two")
    assert not read_git(repository, {}).dirty
    git(repository, "sparse-checkout", "set", "other")
    assert git(repository, "status", "--porcelain") == ""
    assert read_git(repository, {}).changed == "pipeline/a.py"


@needs_git
def test_a_tag_of_the_same_name_does_not_hide_the_branch(repository: Path) -> None:
    git(repository, "tag", "develop/x")
    assert read_git(repository, {}).branch == "develop/x"


@needs_git
def test_names_that_are_no_text_are_no_error(repository: Path) -> None:
    branch = b"caf\xe9"
    subprocess.run(["git", "-C", str(repository), "checkout", "-qb", branch], check=True)
    git(repository, "config", "core.quotePath", "false")
    (Path(os.fsdecode(os.fsencode(repository) + b"/" + branch))).touch()
    found = read_git(repository, {})
    assert (found.branch, found.dirty) == ("caf\ufffd", True)


@needs_git
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_tree_of_another_owner_has_the_same_facts(repository: Path) -> None:
    before = read_git(repository, {})
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 1234, 1234)
    assert read_git(repository, {}) == before != Git(commit=None, branch=None)


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


@needs_git
@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/o/r", "https://github.com/o/r"),
        ("https://bob:t0ken@git.test/o/r.git/", "https://git.test/o/r"),
        ("https://git.test:8443/~o/r%20s?x=t0ken#y", "https://git.test:8443/~o/r%20s"),
        ("git@github.com:o/r.git", "https://github.com/o/r"),
        ("github.com:/o/r.git", "https://github.com/o/r"),
        ("ssh://git@git.test:2222/o/r.git", "https://git.test/o/r"),
        ("git+ssh://git@git.test/o/r", "https://git.test/o/r"),
        ("alias:o/r", None),
        ("git@github.com-work:o/r.git", None),
        ("git@192.168.1.5:o/r", None),
        ("https://git/o/r", None),
        ("https://git.test", None),
        ("https://git.test:port/o/r", None),
        ("https://[git.test/o/r", None),
        ("http://git.test/o/r", None),
        ("file:///srv/r.git", None),
        ("../r", None),
        ("/srv/r.git", None),
    ],
)
def test_the_origin_is_told_as_everybody_may_know_it(
    repository: Path, remote: str, url: str | None
) -> None:
    assert read_git(repository, {}).origin is None
    git(repository, "remote", "add", "origin", remote)
    assert read_git(repository, {}).origin == url


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
    assert read_git(repository, environ) == Git(commit=merge, branch=None, time=TIME)


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
    assert read_git(repository / "below", {}) == Git(commit=None, branch=None)


PUSH = {"GITHUB_SHA": "a" * 40, "GITHUB_REF": "refs/heads/main", "GITHUB_REF_TYPE": "branch"}


def test_without_the_program_git_a_tree_is_not_taken_for_the_commit_that_github_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = read_git(ROOT, PUSH)
    assert (found.commit, found.branch, found.dirty) == ("a" * 40, "main", True)


@needs_git
@pytest.mark.parametrize("folder", ["", "below"], ids=["no-repository", "in-somebody-elses"])
def test_a_tree_without_a_repository_is_not_taken_for_the_commit_that_github_names(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    tree = repository / folder if folder else tmp_path_factory.mktemp("tree")
    tree.mkdir(exist_ok=True)
    with pytest.raises(Refused, match="as in what git does not tell"):
        read_git(tree, PUSH).require_clean("publishing")


def test_an_empty_name_of_a_commit_is_none(tmp_path: Path) -> None:
    assert read_git(tmp_path, {"GITHUB_SHA": ""}) == Git(commit=None, branch=None)


def test_a_tree_without_git_is_no_error(tmp_path: Path) -> None:
    assert read_git(tmp_path, {}) == Git(commit=None, branch=None)


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
