"""What git ignores, held to git itself."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.gitignore import GitIgnore

RECORDED = {
    ".git/HEAD": "ref: refs/heads/main\n",
    ".gitignore": "*.log\n/dist\n!sub/keep.log\n",
    "a.log": "x",
    "a.txt": "x",
    "dist/x": "x",
    "sub/dist/x": "x",
    "sub/keep.log": "x",
    "sub/.gitignore": "local\n",
    "sub/local": "x",
}


def write_tree(root: Path, files: dict[str, str]) -> None:
    """Write `files` below `root`."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def walk(root: Path, top: str = "", rules: GitIgnore | None = None) -> list[str]:
    """What is left of the tree, as a walk of the engine finds it."""
    rules = rules or GitIgnore()
    own = root / top / ".gitignore"
    if own.is_file():
        rules = rules.including(top, os.fsdecode(own.read_bytes()))
    found: list[str] = []
    for name in sorted(os.listdir(root / top)):
        path = f"{top}/{name}" if top else name
        directory = (root / path).is_dir()
        if rules.ignores(path, directory=directory):
            continue
        found.append(f"{path}/" if directory else path)
        if directory:
            found += walk(root, path, rules)
    return found


def test_a_tree_loses_what_was_recorded(tmp_path: Path) -> None:
    write_tree(tmp_path, RECORDED)
    assert walk(tmp_path) == [
        *(".git/", ".git/HEAD", ".gitignore", "a.txt", "sub/"),
        *("sub/.gitignore", "sub/dist/", "sub/dist/x", "sub/keep.log"),
    ]


def test_the_rules_above_a_subdirectory_hold_in_it(tmp_path: Path) -> None:
    write_tree(tmp_path, RECORDED)
    above = GitIgnore().including("", "*.log\n/dist\n!sub/keep.log\n")
    assert walk(tmp_path, "sub", above) == [
        *("sub/.gitignore", "sub/dist/", "sub/dist/x", "sub/keep.log"),
    ]


@pytest.mark.parametrize(
    ("lines", "path", "ignored"),
    [
        ("a", "d/a", True),
        ("/a", "d/a", False),
        ("d/a", "d/a", True),
        ("a/", "a", False),
        ("# a\n\\#a", "#a", True),
        ("\\!a", "!a", True),
        ("a ", "a", True),
        ("a\\ ", "a ", True),
        ("a\r\n", "a", True),
        ("\ufeffa", "a", True),
        ("*.log\n!keep.log", "x/keep.log", False),
        ("**/b", "a/b", True),
        ("a/**/b", "a/b", True),
        ("a/**", "a/b/c", True),
        ("a/*", "a/b/c", False),
        ("a*c", "abc", True),
        ("[!a-c]x", "dx", True),
        ("[[:digit:]]", "7", True),
        ("[a", "[a", False),
        ("a\\", "a\\", False),
        ("??", "é", True),
        ("/", "a", False),
    ],
)
def test_a_pattern_means_what_it_means_to_git(lines: str, path: str, ignored: bool) -> None:
    rules = GitIgnore().including("", lines)
    assert rules.ignores(path, directory=False) is ignored


def test_a_pattern_with_a_trailing_slash_takes_directories_only() -> None:
    rules = GitIgnore().including("d", "a/\n")
    assert rules.ignores("d/x/a", directory=True)
    assert not rules.ignores("d/x/a", directory=False)
    assert not rules.ignores("a", directory=True)


def test_a_deeper_file_has_the_last_word() -> None:
    rules = GitIgnore().including("", "*.log\n").including("d", "!x.log\n")
    assert not rules.ignores("d/x.log", directory=False)
    assert rules.ignores("x.log", directory=False)


@pytest.mark.skipif(not shutil.which("git"), reason="compares with git, which is not here")
def test_random_rules_ignore_what_git_ignores(tmp_path: Path) -> None:
    parts = ["a", "b", "*", "**", "?", "/", "/", "[ab]", "[!a]", "[a-c]", "\\*", "x.t", ".", "é"]
    files = ["c", "ab", "a/c", "a/a", "a/b/c", "a/b/a/f.t", "b/ab", "x.t/a", "é", "a/é", "a*"]
    chance = random.Random(20240229)
    write_tree(tmp_path, dict.fromkeys(files, ""))
    git("init", "-q", at=tmp_path)
    for _ in range(40):
        for place in ("", "a", "a/b"):
            lines = ["".join(chance.choices(parts, k=chance.randint(1, 4))) for _ in range(3)]
            lines[chance.randrange(3)] = "!" + chance.choice(parts)
            (tmp_path / place / ".gitignore").write_text("\n".join(lines) + "\n")
        listed = git("ls-files", "-oz", "--exclude-per-directory=.gitignore", at=tmp_path)
        expected = sorted(filter(None, listed.split("\0")))
        found = [path for path in walk(tmp_path) if not path.endswith("/")]
        assert sorted(path for path in found if not path.startswith(".git/")) == expected


def git(*arguments: str, at: Path) -> str:
    """What git prints, with nobody's settings but its own."""
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *arguments],
        cwd=at,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
