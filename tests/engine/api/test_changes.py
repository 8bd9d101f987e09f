"""Changes between directories: patches, statistics, merges, and their way to the client."""

from __future__ import annotations

from pathlib import Path

import dagger
import pytest
from dagger import ChangesetMergeConflict, DiffStatKind

from tests.engine.api.test_directory import tree

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


async def test_a_patch_of_the_changes_makes_the_same_changes(base: dagger.Container) -> None:
    old = base.directory("/usr/local/include").with_new_file("-odd name*", "1\n")
    script = "printf '\\000\\377' > bin; chmod +x './-odd name*'; ln -s bin link; echo 1 >> new"
    made = base.with_directory("/w", old).with_workdir("/w").with_exec(["sh", "-ec", script])
    change = made.directory("/w").changes(old)
    again = old.with_patch_file(change.as_patch())
    assert await change.modified_paths() == ["-odd name*"]
    assert await again.changes(made.directory("/w")).is_empty()


async def test_no_changes_make_an_empty_patch(dag: dagger.Client) -> None:
    same = tree(dag, "a")
    patch = same.changes(tree(dag, "a")).as_patch()
    assert [await patch.name(), await patch.size()] == ["diff.patch", 0]
    assert await same.with_patch_file(patch).entries() == ["a"]


@pytest.mark.parametrize("name", ["../out", "d/../../out", ".git/config"])
async def test_a_patch_stays_in_its_directory(dag: dagger.Client, name: str) -> None:
    patch = f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"
    with pytest.raises(dagger.QueryError, match="invalid path"):
        await tree(dag, "d/a").directory("d").with_patch(patch).sync()


async def test_a_patch_follows_no_link(dag: dagger.Client) -> None:
    files = tree(dag, "d/a").with_symlink("d", "link")
    patch = "--- a/link/a\n+++ b/link/a\n@@ -1 +1 @@\n-d/a\n+x\n"
    with pytest.raises(dagger.QueryError, match="beyond a symbolic link"):
        await files.with_patch(patch).sync()


async def test_a_patch_applies_below_a_directory(dag: dagger.Client) -> None:
    patch = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-d/a\n+x\n"
    patched = tree(dag, "d/a").directory("d").with_patch(patch)
    assert await patched.file("a").contents() == "x\n"


async def test_statistics_count_lines(dag: dagger.Client) -> None:
    old = tree(dag, "mod", "gone", "d/gone", "same")
    new = tree(dag, "same", "e/new").with_new_file("mod", "1\n2\n")
    found = [
        (await s.path(), await s.kind(), await s.added_lines(), await s.removed_lines())
        for s in await new.changes(old).diff_stats()
    ]
    assert found == [
        ("d/", DiffStatKind.REMOVED, 0, 0),
        ("d/gone", DiffStatKind.REMOVED, 0, 1),
        ("e/", DiffStatKind.ADDED, 0, 0),
        ("e/new", DiffStatKind.ADDED, 1, 0),
        ("gone", DiffStatKind.REMOVED, 0, 1),
        ("mod", DiffStatKind.MODIFIED, 2, 1),
    ]


async def test_a_file_may_become_a_directory_and_back(dag: dagger.Client) -> None:
    one, other = tree(dag, "x", "y/a"), tree(dag, "x/a", "y")
    assert await one.with_changes(other.changes(one)).glob("**") == ["x/", "x/a", "y"]
    assert await other.with_changes(one.changes(other)).glob("**") == ["x", "y/", "y/a"]


async def test_changes_are_made_on_the_client(dag: dagger.Client, tmp_path: Path) -> None:
    (tmp_path / "gone").write_text("gone\n")
    (tmp_path / "mine").write_text("mine\n")
    change = tree(dag, "new").changes(tree(dag, "gone", "never/there"))
    assert await change.export(str(tmp_path)) == str(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "new"]


async def test_an_export_removes_nothing_through_a_link(dag: dagger.Client, tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (outside / "a").write_text("a")
    (target / "d").symlink_to(outside)
    await tree(dag, "d/b").changes(tree(dag, "d/a", "d/b")).export(str(target))
    assert (outside / "a").read_text() == "a"


async def test_changes_that_touch_different_files_merge(dag: dagger.Client) -> None:
    one = tree(dag, "a", "b").with_new_file("a", "1").changes(tree(dag, "a", "b"))
    two = tree(dag, "c/n").changes(tree(dag, "b"))
    both = one.with_changesets([two])
    assert await both.added_paths() == ["c/", "c/n"]
    assert await both.modified_paths() == ["a"]
    assert await both.removed_paths() == ["b"]


def edited(dag: dagger.Client, **lines: str) -> dagger.Directory:
    """A directory with one file of ten lines, some of them with other texts."""
    text = "".join(lines.get(f"line{number}", str(number)) + "\n" for number in range(10))
    return dag.directory().with_new_file("a", text).with_new_file("same", "x")


async def test_changes_of_different_lines_of_a_file_merge(dag: dagger.Client) -> None:
    old = edited(dag)
    one, two = edited(dag, line1="one").changes(old), edited(dag, line8="two").changes(old)
    both = one.with_changeset(two)
    assert await both.modified_paths() == ["a"]
    merged = await both.after().file("a").contents()
    assert merged.split() == ["0", "one", *"234567", "two", "9"]
    with pytest.raises(dagger.QueryError, match='at path "a": path modified in both changesets'):
        await one.with_changeset(two, on_conflict=ChangesetMergeConflict.FAIL_EARLY).sync()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ChangesetMergeConflict.PREFER_OURS, ["one"]),
        (ChangesetMergeConflict.PREFER_THEIRS, ["two"]),
        (
            ChangesetMergeConflict.LEAVE_CONFLICT_MARKERS,
            ["<<<<<<< HEAD", "one", "=======", "two", ">>>>>>> theirs"],
        ),
    ],
)
async def test_a_conflict_is_settled_as_was_asked(
    dag: dagger.Client, choice: ChangesetMergeConflict, expected: list[str]
) -> None:
    old = edited(dag)
    one, two = (edited(dag, line5=text).changes(old) for text in ("one", "two"))
    merged = one.with_changeset(two, on_conflict=choice).after()
    assert (await merged.file("a").contents()).splitlines()[5:-4] == expected


async def test_a_conflict_fails_unless_told_otherwise(dag: dagger.Client) -> None:
    old = edited(dag)
    one, two = (edited(dag, line5=text).changes(old) for text in ("one", "two"))
    with pytest.raises(dagger.QueryError, match="CONFLICT .content.: Merge conflict in a"):
        await one.with_changeset(two).sync()
    with pytest.raises(dagger.QueryError, match="CONFLICT"):
        await dag.changeset().with_changesets([one, two]).sync()


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (ChangesetMergeConflict.PREFER_OURS, False),
        (ChangesetMergeConflict.PREFER_THEIRS, True),
        (ChangesetMergeConflict.LEAVE_CONFLICT_MARKERS, True),
    ],
)
async def test_a_removed_file_that_was_changed_is_kept_or_not(
    dag: dagger.Client, choice: ChangesetMergeConflict, left: bool
) -> None:
    old = edited(dag)
    removed, changed = old.without_file("a").changes(old), edited(dag, line1="x").changes(old)
    assert await removed.with_changeset(changed, on_conflict=choice).after().exists("a") is left
    with pytest.raises(dagger.QueryError, match="CONFLICT"):
        await removed.with_changeset(changed).sync()


async def test_a_merge_leads_out_of_nothing(dag: dagger.Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("outside\n")
    old = tree(dag, "d/a", ".git/config")
    config = f"[core]\n\tfsmonitor = touch {tmp_path}/ran\n"
    one = old.with_new_file("d/a", "1\n").with_new_file(".git/config", config).changes(old)
    linked = old.without_directory("d").with_symlink(str(tmp_path), "d")
    two = linked.with_new_file(".git/config", config + "x").changes(old)
    theirs = ChangesetMergeConflict.PREFER_THEIRS
    merged = one.with_changeset(two, on_conflict=theirs).after()
    assert await merged.exists("d", do_not_follow_symlinks=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "outside\n"


async def test_a_changeset_begins_with_nothing_and_takes_changes(dag: dagger.Client) -> None:
    nothing = dag.changeset()
    assert await nothing.is_empty()
    both = nothing.with_changeset(tree(dag, "a", "b").changes(tree(dag, "b")))
    assert await both.added_paths() == ["a"]


async def test_a_renamed_file_is_known_for_one(dag: dagger.Client) -> None:
    change = edited(dag).with_new_file("new", await edited(dag).file("a").contents())
    change = change.without_file("a")
    found = [
        (await s.path(), await s.old_path(), await s.kind())
        for s in await change.changes(edited(dag)).diff_stats()
    ]
    assert found == [("new", "a", DiffStatKind.RENAMED)]
    assert await change.changes(edited(dag)).added_paths() == ["new"]
