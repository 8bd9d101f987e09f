"""Which paths of a tree a pattern names: .dockerignore lists, include and exclude, `glob()`.

Paths are relative, with `/` between names, as `os.fsdecode` gives them: any name can be matched,
also one that is not UTF-8 or holds a newline.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from engine.errors import EngineError

_WILDCARDS = "*?["
_SPECIAL = re.compile(r"[*\[\]?^\\]")

Matched: TypeAlias = tuple[bool, ...]
"""Which patterns of a list match a directory; what is below it needs to know."""


class PatternError(EngineError):
    """Raised for a pattern that cannot be understood."""

    def __init__(self, pattern: str) -> None:
        super().__init__(f"syntax error in pattern {pattern!r}: check its brackets and escapes")


class Pattern:
    """One pattern: `*` and `?` stay within a name, `**` spans folders, `[...]` is a set."""

    def __init__(self, text: str) -> None:
        cleaned = clean(text)
        self.negated = cleaned.startswith("!")
        self.text = cleaned.removeprefix("!")
        if not self.text:
            raise PatternError(text)
        self.matches = _matcher(self.text)
        stem = self.text.removesuffix("/**").removesuffix("/*")
        self._stem = None if _SPECIAL.search(stem) else f"{stem}/"

    def may_match_below(self, directory: str) -> bool:
        """Whether something below `directory`, which itself does not match, could match."""
        return self._stem is None or self._stem.startswith(f"{directory}/")


class Glob:
    """The pattern of `glob()`: a path must match as a whole, and `!` means nothing."""

    def __init__(self, pattern: str) -> None:
        self._pattern = Pattern(pattern)

    def matches(self, path: str) -> bool:
        """Whether the pattern names `path`."""
        return not self._pattern.negated and self._pattern.matches(path)


def has_wildcards(path: str) -> bool:
    """Whether `path` is a pattern; a backslash takes a wildcard's meaning away."""
    chars = iter(path)
    for char in chars:
        if char == "\\":
            next(chars, "")
        elif char in _WILDCARDS:
            return True
    return False


def split_at_wildcards(path: str) -> tuple[str, Glob]:
    """The folder in which the wildcards of a path begin, and what matches them below it.

    Two asterisks are two of one, which stay within a name.
    """
    parts = clean(path).strip("/").split("/")
    first = next(at for at, part in enumerate(parts) if has_wildcards(part))
    names = (part.replace("**", "*") for part in parts[first:])
    return "/".join(parts[:first]), Glob("/".join(names))


class PatternList:
    """Patterns as in a .dockerignore: the last that matches decides, and `!` takes back.

    A pattern that matches a directory matches all below it.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = [Pattern(text) for text in patterns if text.strip()]

    def matches(self, path: str) -> bool:
        """Whether the list names `path`, asked without a walk."""
        return self.step(path, None)[0]

    def step(self, path: str, parent: Matched | None) -> tuple[bool, Matched]:
        """Whether the list names `path`, given what matched its directory.

        Without that, the directories above `path` are looked at too.
        """
        named = False
        matched: list[bool] = []
        candidates = [path] if parent else [path, *_parents(path)]
        for index, pattern in enumerate(self.patterns):
            match = parent[index] if parent else False
            if not match and pattern.negated == named:
                match = any(pattern.matches(candidate) for candidate in candidates)
            matched.append(match)
            if match:
                named = not pattern.negated
        return named, tuple(matched)


@dataclass(frozen=True, slots=True)
class Step:
    """What a walk does with one path.

    `keep`: it is in the result. A directory that is not kept still comes in as the parent of
    what is kept below it. `descend`: look inside. `state` goes to the steps inside.
    """

    keep: bool
    descend: bool
    state: tuple[Matched, Matched]


class PathFilter:
    """What `include` and `exclude` leave of a tree; without `include`, everything is included."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._include = PatternList(include)
        self._exclude = PatternList(exclude)

    def step(
        self, path: str, *, directory: bool, parent: tuple[Matched, Matched] | None = None
    ) -> Step:
        """What to do with `path`; `parent` is the state of its directory's step."""
        outer = parent or (None, None)
        included, include_state = self._include.step(path, outer[0])
        included = included or not self._include.patterns
        excluded, exclude_state = self._exclude.step(path, outer[1])
        descend = (
            directory
            and (included or self._may_include_below(path))
            and (not excluded or self._may_except_below(path))
        )
        return Step(included and not excluded, descend, (include_state, exclude_state))

    def _may_include_below(self, path: str) -> bool:
        patterns = (p for p in self._include.patterns if not p.negated)
        return any(pattern.may_match_below(path) for pattern in patterns)

    def _may_except_below(self, path: str) -> bool:
        patterns = (p for p in self._exclude.patterns if p.negated)
        return any(pattern.may_match_below(path) for pattern in patterns)


def read_ignore_file(text: str) -> list[str]:
    """The patterns of a .dockerignore: no comments, and a leading slash means nothing."""
    patterns: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        line = line.strip()
        mark, body = ("!", line[1:].strip()) if line.startswith("!") else ("", line)
        body = clean(body) if body else ""
        patterns.append(mark + (body[1:] if len(body) > 1 and body[0] == "/" else body))
    return patterns


def clean(path: str) -> str:
    """The shortest equal form of a path: no `.`, no `//`, no trailing slash."""
    shortest = posixpath.normpath(path.strip())
    return shortest[1:] if shortest.startswith("//") else shortest


def _parents(path: str) -> list[str]:
    return [path[:at] for at, char in enumerate(path) if char == "/"]


def _matcher(pattern: str) -> Callable[[str], bool]:
    """How to compare paths with `pattern`.

    With `**` at its start or end as the only wildcard, the rest is compared as text, so that
    `**name` takes `other-name` too: .dockerignore files rely on what moby's matcher does there.
    """
    kind, regex = _translate(pattern)
    if kind == "exact":
        return lambda path: path == pattern
    if kind == "prefix":
        return lambda path: path.startswith(pattern[:-2])
    if kind == "suffix":
        tail = pattern[2:]
        return lambda path: path.endswith(tail) or f"/{path}" == tail
    try:
        compiled = re.compile(regex, re.DOTALL)
    except re.error:
        raise PatternError(pattern) from None
    return lambda path: compiled.fullmatch(path) is not None


def _translate(pattern: str) -> tuple[str, str]:
    """The kind of comparison and the regular expression of `pattern`."""
    kind, out, at = "exact", "", 0
    while at < len(pattern):
        first = at == 0
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            if at < len(pattern):
                kind, out = "regex", out + "(?:.*/)?"
            else:
                kind, out = ("prefix" if kind == "exact" else "regex"), out + ".*"
            kind = "suffix" if first else kind
            continue
        text, end = _unit(pattern, at)
        if pattern[at] in "*?[]\\":
            kind = "regex"
        out, at = out + text, end
    return kind, out


def _unit(pattern: str, at: int) -> tuple[str, int]:
    """The regular expression of the character, wildcard or set at `at`, and where it ends."""
    char = pattern[at]
    if char == "*":
        return "[^/]*", at + 1
    if char == "?":
        return "[^/]", at + 1
    if char == "[":
        return _set(pattern, at + 1)
    if char == "\\":
        literal, end = _escaped(pattern, at)
        return re.escape(literal), end
    return re.escape(char), at + 1


def _set(pattern: str, at: int) -> tuple[str, int]:
    out = "["
    if pattern.startswith("^", at):
        out, at = "[^", at + 1
    start = at
    while at == start or not pattern.startswith("]", at):
        low, at = _member(pattern, at)
        out += re.escape(low)
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
            out += f"-{re.escape(high)}"
    return f"{out}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise PatternError(pattern)
    return _escaped(pattern, at) if pattern[at] == "\\" else (pattern[at], at + 1)


def _escaped(pattern: str, at: int) -> tuple[str, int]:
    if at + 1 >= len(pattern):
        raise PatternError(pattern)
    return pattern[at + 1], at + 2
