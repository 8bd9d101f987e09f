"""What the recorded cases do not touch of Directory."""

from __future__ import annotations

from pathlib import Path

import dagger
import pytest
from dagger import ExistsType

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


def tree(dag: dagger.Client, *paths: str) -> dagger.Directory:
    """A directory with files that hold their own paths."""
    made = dag.directory()
    for path in paths:
        made = made.with_new_file(path, f"{path}\n")
    return made


async def test_files_are_taken_away_by_pattern(dag: dagger.Client) -> None:
    files = tree(dag, "a.py", "b.txt", "d/c.py")
    assert await files.without_file("*.py").glob("**") == ["b.txt", "d/", "d/c.py"]
    left = files.without_files(["a.py", "d/*.py", "missing"])
    assert await left.glob("**") == ["b.txt", "d/"]


async def test_files_and_directories_are_taken_away_alike(dag: dagger.Client) -> None:
    files = tree(dag, "d/c", "f")
    assert await files.without_file("d").glob("**") == ["f"]
    assert await files.without_directory("f").glob("**") == ["d/", "d/c"]


async def test_a_pattern_without_an_asterisk_is_a_name(dag: dagger.Client) -> None:
    files = tree(dag, "a?", "ab", "[a]", "d/x.py", "d/e/y.py")
    assert await files.without_files(["a?", "[a]"]).glob("**/*b") == ["ab"]
    left = files.without_files(["**/*.py"])  # two asterisks are as one
    assert await left.glob("d/**") == ["d/e/", "d/e/y.py"]


async def test_a_file_that_is_written_again_keeps_its_mode_and_owner(
    dag: dagger.Client, base: dagger.Container
) -> None:
    first = dag.directory().with_new_file("f", "1", permissions=0o750).chown("f", "5:6")
    again = base.with_directory("/w", first.with_new_file("f", "2", permissions=0o600))
    look = ["sh", "-c", "stat -c '%a %u:%g' /w/f; cat /w/f"]
    assert await again.with_exec(look).stdout() == "750 5:6\n2"


async def test_no_permissions_are_the_usual_ones(dag: dagger.Client) -> None:
    made = dag.directory().with_new_file("f", "", permissions=0)
    made = made.with_new_directory("d", permissions=0)
    assert await made.stat("f").permissions() == 0o644
    assert await made.stat("d").permissions() == 0o755


async def test_an_owner_by_name_is_one_of_the_tree_itself(
    dag: dagger.Client, base: dagger.Container
) -> None:
    root = base.rootfs()
    made = base.with_rootfs(root.with_file("/f", dag.file("f", ""), owner="nobody:games"))
    assert await made.with_exec(["stat", "-c", "%U:%G", "/f"]).stdout() == "nobody:games\n"
    scratch = base.with_directory("/d", tree(dag, "f").chown("f", "root"))
    assert await scratch.with_exec(["stat", "-c", "%u", "/d/f"]).stdout() == "0\n"
    with pytest.raises(dagger.QueryError, match="failed to parse ownership nobody: open /etc/pas"):
        await tree(dag, "f").chown("f", "nobody").sync()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../d", "cannot create directory outside parent: ../d"),
        ("x/../../d", "cannot create directory outside parent: ../d"),
    ],
)
async def test_a_new_directory_lies_inside(dag: dagger.Client, path: str, message: str) -> None:
    with pytest.raises(dagger.QueryError, match=message):
        await dag.directory().with_new_directory(path).sync()


async def test_a_name_has_a_longest_length(dag: dagger.Client, base: dagger.Container) -> None:
    name = "x" * 256
    for made in (
        dag.directory().with_new_file(f"d/{name}", ""),
        base.with_new_file(f"/{name}", "").rootfs(),
    ):
        with pytest.raises(dagger.QueryError, match="exceeds the maximum supported 255"):
            await made.sync()
    assert await dag.file(name[1:], "x").size() == 1


async def test_an_empty_path_is_not_there(dag: dagger.Client) -> None:
    assert not await tree(dag, "f").exists("")
    with pytest.raises(dagger.QueryError, match="no such file or directory"):
        await tree(dag, "f").stat("").size()


async def test_find_up_goes_up_to_the_top(dag: dagger.Client) -> None:
    files = tree(dag, "setup.cfg", "a/setup.cfg", "a/b/c/x")
    assert await files.find_up("setup.cfg", "a/b/c") == "a/setup.cfg"
    assert await files.find_up("a", "a/b") == "a"
    assert await files.find_up("none", "a/b/c") is None
    with pytest.raises(dagger.QueryError, match="name cannot be empty"):
        await files.find_up("", "a")


@pytest.mark.parametrize(
    ("path", "kind", "follow", "expected"),
    [
        ("f", ExistsType.REGULAR_TYPE, True, True),
        ("f", ExistsType.DIRECTORY_TYPE, True, False),
        ("d", ExistsType.DIRECTORY_TYPE, True, True),
        ("link", ExistsType.REGULAR_TYPE, True, True),
        ("link", ExistsType.REGULAR_TYPE, False, False),
        ("link", ExistsType.SYMLINK_TYPE, False, True),
        ("broken", None, True, False),
        ("broken", None, False, True),
        ("none", None, True, False),
    ],
)
async def test_exists_asks_for_a_type(
    dag: dagger.Client, path: str, kind: ExistsType | None, follow: bool, expected: bool
) -> None:
    files = tree(dag, "f", "d/x").with_symlink("f", "link").with_symlink("none", "broken")
    found = await files.exists(path, expected_type=kind, do_not_follow_symlinks=not follow)
    assert found is expected


async def test_filter_obeys_the_ignore_files_in_the_tree(dag: dagger.Client) -> None:
    files = tree(dag, "keep.py", "a.log", "d/b.log", "d/keep.log", "build/x")
    files = files.with_new_file(".gitignore", "*.log\n/build/\n")
    files = files.with_new_file("d/.gitignore", "!keep.log\n")
    kept = await files.filter(gitignore=True, exclude=["**/.gitignore"]).glob("**")
    assert kept == ["d/", "d/keep.log", "keep.py"]


async def test_an_export_wipes_only_when_asked(dag: dagger.Client, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    await tree(dag, "new").export(str(target))
    assert sorted(p.name for p in target.iterdir()) == ["new", "old"]
    await tree(dag, "new").export(str(target), wipe=True)
    assert [p.name for p in target.iterdir()] == ["new"]


async def test_search_leaves_out_what_it_is_told_to(dag: dagger.Client) -> None:
    files = tree(dag, "a.py", "a.txt", ".hidden/a.py", "d/a.py", "d/a.log")
    files = files.with_new_file(".gitignore", "*.log\n").with_new_file(".ignore", "a.txt\n")

    async def found(pattern: str = "a\\.", **options: object) -> list[str]:
        results = await files.search(pattern, files_only=True, **options)  # type: ignore[arg-type]
        return sorted([await result.file_path() for result in results])

    everything = [".hidden/a.py", ".ignore", "a.py", "a.txt", "d/a.log", "d/a.py"]
    assert await found() == everything
    assert await found(skip_hidden=True) == ["a.py", "a.txt", "d/a.log", "d/a.py"]
    assert await found(skip_ignored=True) == [".hidden/a.py", ".ignore", "a.py", "d/a.py"]
    assert await found(globs=["*.py", "!d/**"]) == [".hidden/a.py", "a.py"]
    assert await found(globs=["!*.py"]) == [".ignore", "a.txt", "d/a.log"]
    assert await found(paths=["d", ".hidden/a.py"], skip_hidden=True) == [
        ".hidden/a.py",
        "d/a.log",
        "d/a.py",
    ]
    with pytest.raises(dagger.QueryError, match="stat none: no such file"):
        await found(paths=["none"])
