"""Which paths git ignores, by the .gitignore files of a tree.

Paths are relative to the top of the tree, with `/` between names, as `os.fsdecode` gives them.
Git compares bytes, so a `?` is half an `é`; here each byte is one character of a text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: re.Pattern[str]
    negated: bool
    directories_only: bool
    by_name: bool

    def matches(self, path: str, directory: bool) -> bool:
        if self.directories_only and not directory:
            return False
        subject = path.rpartition("/")[2] if self.by_name else path
        return self.regex.fullmatch(subject) is not None

    def holds(self, path: str, directory: bool) -> bool:
        """Whether it matches the path, or a directory that this lies in."""
        slashes = (at for at, letter in enumerate(path) if letter == "/")
        return self.matches(path, directory) or any(self.matches(path[:at], True) for at in slashes)


@dataclass(frozen=True, slots=True)
class GitIgnore:
    """The rules that hold in one directory: its own file's, then those of the files above it.

    A walk starts with `GitIgnore()`, calls `including` for every directory that has a
    .gitignore, and does not enter ignored directories: nothing below them can come back.
    """

    files: tuple[tuple[str, tuple[_Rule, ...]], ...] = ()

    def including(self, directory: str, text: str) -> GitIgnore:
        """These rules and those of the .gitignore in `directory`, "" for the top.

        `text` is the file as `os.fsdecode` gives it, so that no byte is lost.
        """
        prefix = f"{_bytewise(directory)}/" if directory else ""
        rules = tuple(rule for line in _lines(text) if (rule := _rule(line)))
        return GitIgnore(((prefix, rules), *self.files))

    @property
    def negates(self) -> bool:
        """Whether any rule takes something back in."""
        return any(rule.negated for _, rules in self.files for rule in rules)

    def leaves_out(self, path: str, *, directory: bool) -> bool:
        """Whether the Dagger engine leaves `path` out, wherever it lies.

        A rule holds for what lies in a directory that it names, too, and the last that holds
        decides: other than git, which looks into no ignored directory, this takes files back in.
        """
        return self._last(path, lambda rule, below: rule.holds(below, directory))

    def ignores(self, path: str, *, directory: bool) -> bool:
        """Whether git ignores `path`, which lies in no ignored directory."""
        return self._last(path, lambda rule, below: rule.matches(below, directory))

    def _last(self, path: str, decides: Callable[[_Rule, str], bool]) -> bool:
        """What the last rule says that decides about a path below its file; it is kept without."""
        path = _bytewise(path)
        for prefix, rules in self.files:
            if path.startswith(prefix):
                below = path[len(prefix) :]
                for rule in reversed(rules):
                    if decides(rule, below):
                        return not rule.negated
        return False


def _bytewise(text: str) -> str:
    return os.fsencode(text).decode("latin-1")


def _lines(text: str) -> list[str]:
    lines = _bytewise(text.removeprefix("\ufeff")).split("\n")
    return [line.removesuffix("\r") for line in lines if not line.startswith("#")]


def _rule(line: str) -> _Rule | None:
    """The rule of a line, or None for an empty one and for one that can match nothing."""
    negated = line.startswith("!")
    pattern = _without_trailing_spaces(line[1:] if negated else line)
    directories_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    anchored = "/" in pattern
    try:
        regex = re.compile(_translate(pattern.removeprefix("/"), across=anchored), re.DOTALL)
    except ValueError:
        return None
    return _Rule(regex, negated, directories_only, not anchored) if pattern else None


def _without_trailing_spaces(pattern: str) -> str:
    stripped = pattern.rstrip(" ")
    escapes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if escapes % 2 and stripped != pattern else stripped


def _translate(pattern: str, *, across: bool) -> str:
    """A regular expression; `across` gives `**` its meaning between slashes."""
    out, at = "", 0
    while at < len(pattern):
        stars = re.compile(r"\*+").match(pattern, at)
        if stars:
            text, at = _stars(pattern, at, stars.end(), across)
        elif pattern[at] == "?":
            text, at = "[^/]", at + 1
        elif pattern[at] == "[":
            text, at = _set(pattern, at + 1)
        else:
            literal, at = _literal(pattern, at)
            text = re.escape(literal)
        out += text
    return out


def _stars(pattern: str, start: int, end: int, across: bool) -> tuple[str, int]:
    opens = start == 0 or pattern[start - 1] == "/"
    if across and end - start >= 2 and opens:
        if end == len(pattern):
            return ".+" if start else ".*", end
        if pattern[end] == "/":
            return "(?:.*/)?", end + 1
    return "[^/]*", end


def _set(pattern: str, at: int) -> tuple[str, int]:
    """A `[...]`: `!` or `^` negates, `]` counts where it comes first; it never takes a slash."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    start, out = at, ""
    while at == start or pattern[at : at + 1] != "]":
        name = re.compile(r"\[:([a-z]+):\]").match(pattern, at)
        if name and name[1] in _CLASSES:
            out, at = out + _CLASSES[name[1]], name.end()
            continue
        low, at = _literal(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("", "]"):
            high, at = _literal(pattern, at + 1)
        if low <= high:
            out += f"{re.escape(low)}-{re.escape(high)}"
    if not out:
        return ("[^/]" if negated else "(?!)"), at + 1
    return (f"(?!/)[^{out}]" if negated else f"(?!/)[{out}]"), at + 1


def _literal(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError("an escape or a set that does not end")
    return pattern[at], at + 1
