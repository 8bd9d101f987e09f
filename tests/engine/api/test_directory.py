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


async def test_a_directory_is_no_file_to_take_away(dag: dagger.Client) -> None:
    with pytest.raises(dagger.QueryError, match="is a directory, not a file"):
        await tree(dag, "d/c").without_file("d").sync()


async def test_find_up_goes_up_to_the_top(dag: dagger.Client) -> None:
    files = tree(dag, "setup.cfg", "a/setup.cfg", "a/b/c/x")
    assert await files.find_up("setup.cfg", "a/b/c") == "a/setup.cfg"
    assert await files.find_up("a", "a/b") == "a"
    assert await files.find_up("none", "a/b/c") is None


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
