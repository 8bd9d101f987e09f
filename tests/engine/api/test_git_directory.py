"""Git repositories that lie in directories."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagger
import pytest

from tests.engine.api.test_git import commit, git, made

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository as `made` makes it, with no change that is not committed."""
    made(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize("place", [".", ".git", "below"])
async def test_a_repository_is_found_in_a_directory_or_above_it(
    dag: dagger.Client, folder: Path, place: str
) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "file").touch()
    repository = dag.host().directory(str(folder)).directory(place).as_git()
    assert await repository.branches() == ["main", "side"]
    assert await repository.tags(patterns=["v1.9*"]) == ["v1.9.0"]
    assert await repository.head().ref() == "refs/heads/main"
    assert await repository.latest_version().ref() == "refs/tags/v1.10.0"
    assert await repository.tag("v1.10.0").commit() == git(folder, "rev-parse", "main")
    assert await repository.url() is None


async def test_a_bare_repository_is_one(dag: dagger.Client, folder: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(folder), "bare")
    repository = dag.host().directory(str(tmp_path / "bare")).as_git()
    assert await repository.ref("side").commit() == git(folder, "rev-parse", "side")
    assert await repository.uncommitted().is_empty()


async def test_a_tree_has_the_files_and_the_history_that_is_asked_for(
    dag: dagger.Client, folder: Path, tmp_path: Path
) -> None:
    repository = dag.host().directory(str(folder)).as_git()
    plain = repository.branch("side").tree(discard_git_dir=True)
    assert await plain.entries() == ["four", "link", "one", "tool", "two"]
    for name, depth, count in (("one", 1, "1"), ("all", 0, "3")):
        await repository.head().tree(depth=depth).export(str(tmp_path / name))
        assert git(tmp_path / name, "rev-list", "--count", "HEAD") == count
        assert git(tmp_path / name, "remote") == ""
        assert git(tmp_path / name, "for-each-ref", "refs/brewline") == ""
    assert git(tmp_path / "one", "tag").split() == ["other", "v1.10.0"]


async def test_what_is_not_committed_is_a_changeset(dag: dagger.Client, folder: Path) -> None:
    def changes(place: str = ".") -> dagger.Changeset:
        directory = dag.host().directory(str(folder), no_cache=True).directory(place)
        return directory.as_git().uncommitted()

    assert await changes().is_empty()
    (folder / ".git/info").mkdir(exist_ok=True)
    (folder / ".git/info/exclude").write_text("ignored\n")
    (folder / "ignored").touch()
    (folder / "new").touch()
    (folder / "tool").write_text("changed\n")
    (folder / "one").unlink()
    for staged in (False, True):
        if staged:
            git(folder, "add", ".")
        found = changes()
        assert await found.added_paths() == ["new"]
        assert await found.modified_paths() == ["tool"]
        assert await found.removed_paths() == ["one"]
        assert await changes(".git").is_empty()


async def test_commits_of_two_directories_have_a_common_ancestor(
    dag: dagger.Client, folder: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(folder), "other")
    commit(tmp_path / "other", "five")
    one = dag.host().directory(str(folder)).as_git().branch("side")
    other = dag.host().directory(str(tmp_path / "other")).as_git().head()
    assert await one.common_ancestor(other).commit() == git(folder, "rev-parse", "v1.9.0")


async def test_a_directory_without_a_repository_is_told(dag: dagger.Client, folder: Path) -> None:
    directory = dag.directory().with_new_file(".git", "gitdir: /proc/self/cwd\n")
    for none in (dag.directory(), directory):
        with pytest.raises(dagger.QueryError, match="git error: not a git repository"):
            await none.as_git().tags()
    held = dag.host().directory(str(folder))
    with pytest.raises(dagger.QueryError, match="does not contain ref .refs/heads/none"):
        await held.as_git().branch("none").commit()
    with pytest.raises(dagger.QueryError, match="none"):
        await held.directory("none").as_git().branches()


async def test_a_repository_runs_no_program_of_its_own(
    dag: dagger.Client, folder: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    program = folder / ".git" / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    shutil.copy(program, folder / ".git/hooks/post-index-change")
    named = f"{folder}/.git/program"
    (tmp_path / "included").write_text(f'[filter "own"]\n\tsmudge = {named}\n')
    for name in ("core.fsmonitor", "filter.own.smudge", "filter.own.clean", "core.hooksPath"):
        git(folder, "config", name, named)
    git(folder, "config", "include.path", str(tmp_path / "included"))
    git(folder, "config", "uploadpack.packObjectsHook", named)
    (folder / ".gitattributes").write_text("* filter=own\n")
    (folder / "one").write_text("changed\n")
    repository = dag.host().directory(str(folder)).as_git()
    assert await repository.uncommitted().modified_paths() == ["one"]
    assert "one" in await repository.head().tree().entries()
    assert not mark.exists()


async def test_a_repository_does_not_lead_out_of_its_directory(
    dag: dagger.Client, folder: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    made(hidden)
    stolen = commit(hidden, "stolen")
    (folder / ".git/objects/info/alternates").write_text(f"{hidden}/.git/objects\n")
    (folder / ".git/refs/heads/stolen").write_text(f"{stolen}\n")
    (folder / ".git/refs/heads/linked").symlink_to(hidden / ".git/HEAD")
    repository = dag.host().directory(str(folder)).as_git()
    assert "linked" not in await repository.branches()
    for ref in (repository.branch("stolen"), repository.commit(stolen)):
        with pytest.raises(dagger.QueryError, match="git error"):
            await ref.tree().entries()


async def test_a_working_tree_does_not_lead_out_of_its_directory(
    dag: dagger.Client, folder: Path, tmp_path: Path
) -> None:
    (folder / "sub").mkdir()
    commit(folder, "sub/file")
    shutil.rmtree(folder / "sub")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside\n")
    (folder / "sub").symlink_to(outside)
    changes = dag.host().directory(str(folder)).as_git().uncommitted()
    assert await changes.before().file("sub/file").contents() == "sub/file\n"
    assert (outside / "file").read_text() == "outside\n"
