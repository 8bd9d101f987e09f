"""What is taken of a tree: folders before their contents, and nothing looked into in vain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.root import Root
from engine.selection import Selection

FILES = ["a.py", "b.txt", "src/c.py", "src/deep/d.py", "src/deep/e.txt", "docs/f.md", "build/g.py"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("src")
    with Root(str(tmp_path)) as opened:
        yield opened


def taken(root: Root, selection: Selection, path: str = "/") -> list[str]:
    return [entry.path for entry in selection.of(root, path)]


def test_nothing_given_takes_everything(root: Root) -> None:
    found = taken(root, Selection())
    folders = {"src", "src/deep", "docs", "build", "empty", "link"}
    assert set(found) == {*FILES, *folders}
    assert Selection().everything


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        pytest.param(
            Selection(include=("**/*.py",)),
            ["a.py", "build", "build/g.py", "src", "src/c.py", "src/deep", "src/deep/d.py"],
            id="include, with the folders above",
        ),
        pytest.param(
            Selection(include=("src",), exclude=("**/*.txt",)),
            ["src", "src/c.py", "src/deep", "src/deep/d.py"],
            id="both",
        ),
        pytest.param(
            Selection(exclude=("src", "!src/deep/d.py", "build", "docs", "empty")),
            ["a.py", "b.txt", "link", "src", "src/deep", "src/deep/d.py"],
            id="exception below what is excluded",
        ),
        pytest.param(Selection(include=("nothing",)), [], id="nothing fits"),
    ],
)
def test_patterns_choose(root: Root, selection: Selection, expected: list[str]) -> None:
    assert taken(root, selection) == expected


def test_selection_below_a_folder_is_relative_to_it(root: Root) -> None:
    assert taken(root, Selection(include=("deep/*.py",)), "/src") == ["deep", "deep/d.py"]


def test_ignore_files_count_from_where_they_are(root: Root) -> None:
    Path(root.path, ".gitignore").write_text("*.txt\n/build/\n")
    Path(root.path, "src/.gitignore").write_text("!e.txt\nc.py\n")
    found = taken(root, Selection(gitignore=True))
    files = [".gitignore", "a.py", "docs/f.md", "src/.gitignore", "src/deep/d.py", "src/deep/e.txt"]
    assert [name for name in found if os.path.isfile(f"{root.path}/{name}")] == files


def test_ignore_file_that_is_a_link_is_not_read(root: Root) -> None:
    Path(root.path, "rules").write_text("*\n")
    Path(root.path, ".gitignore").symlink_to("rules")
    assert "a.py" in taken(root, Selection(gitignore=True))


def test_excluded_folder_is_not_opened(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    really = os.open

    def note(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return really(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", note)
    taken(root, Selection(exclude=("src",)))
    assert "src" not in opened and "docs" in opened


def test_keys_differ_where_selections_do() -> None:
    selections = [
        Selection(),
        Selection(include=("a",)),
        Selection(exclude=("a",)),
        Selection(include=("a", "b")),
        Selection(include=("b", "a")),
        Selection(include=("a b",)),
        Selection(gitignore=True),
    ]
    assert len({selection.key for selection in selections}) == len(selections)


patterns = st.lists(
    st.text(alphabet="abcdsrepy*?/!.", min_size=1, max_size=10).filter(lambda p: p.strip("!/.")),
    max_size=3,
).map(tuple)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patterns, patterns)
def test_parents_come_before_children_and_once(
    root: Root, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    found = taken(root, Selection(include=include, exclude=exclude))
    assert len(found) == len(set(found))
    for number, path in enumerate(found):
        parent = os.path.dirname(path)
        assert not parent or parent in found[:number]
