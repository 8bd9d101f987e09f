"""Text search in files, as ripgrep does it: by lines, or across them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import EngineError

# Python would read these otherwise, or not at all.
_FOREIGN = re.compile(r"\[\[:|\\[pP][{A-Z]|\\z")


@dataclass(frozen=True, slots=True)
class Submatch:
    """A match in the matched lines: its text, and its place in bytes."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Match:
    """Lines with matches: the first one's number and its place in the file in bytes."""

    line: int
    offset: int
    lines: str
    submatches: tuple[Submatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What is searched for."""

    text: str
    literal: bool = False
    multiline: bool = False
    dotall: bool = False
    insensitive: bool = False

    def compiled(self) -> re.Pattern[str]:
        """The pattern for `matches`. Raises EngineError if it is malformed."""
        if "\n" in self.text and not self.multiline:
            raise EngineError('the literal "\\n" is not allowed in a regex without multiline')
        flags = re.MULTILINE
        flags |= re.IGNORECASE if self.insensitive else 0
        flags |= re.DOTALL if self.dotall and self.multiline else 0
        if self.literal:
            return re.compile(re.escape(self.text), flags)
        if foreign := _FOREIGN.search(self.text):
            raise EngineError(
                f"regex parse error: {self.text}: {foreign[0]} is not in the embedded engine"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return re.compile(self.text, flags)
        except (re.error, RecursionError, Warning) as error:
            raise EngineError(f"regex parse error: {self.text}: {error}") from None

    def matches(self, data: bytes) -> Iterator[Match]:
        """The matches in a file's contents; binary files and lines that are not UTF-8 have none."""
        if b"\0" in data:
            return iter(())
        return (_across if self.multiline else _by_line)(self.compiled(), data)


def _by_line(regex: re.Pattern[str], data: bytes) -> Iterator[Match]:
    offset = 0
    for number, raw in enumerate(_lines(data), start=1):
        line = _decoded(raw)
        if line is not None:
            found = _submatches(regex, line.rstrip("\n"))
            if found:
                yield Match(number, offset, line, found)
        offset += len(raw)


def _across(regex: re.Pattern[str], data: bytes) -> Iterator[Match]:
    """Matches that may span lines; those that touch a line together are one result."""
    text = _decoded(data)
    if text is None:
        return
    spans: list[list[re.Match[str]]] = []
    end = -1
    for match in regex.finditer(text):
        first = text.rfind("\n", 0, match.start()) + 1
        if first >= end:
            spans.append([])
        spans[-1].append(match)
        # A match that ends with a line break does not touch the next line.
        last = text.find("\n", max(match.start(), match.end() - 1))
        end = len(text) if last < 0 else last + 1
    for group in spans:
        start = text.rfind("\n", 0, group[0].start()) + 1
        last = text.find("\n", max(group[-1].start(), group[-1].end() - 1))
        lines = text[start : len(text) if last < 0 else last + 1]
        yield Match(
            text.count("\n", 0, start) + 1,
            _size(text[:start]),
            lines,
            tuple(_submatch(lines, m.start() - start, m.end() - start) for m in group),
        )


def _lines(data: bytes) -> list[bytes]:
    # Not `splitlines`: a lone carriage return ends no line.
    return [line for line in re.split(rb"(?<=\n)", data) if line]


def _submatches(regex: re.Pattern[str], line: str) -> tuple[Submatch, ...]:
    return tuple(_submatch(line, match.start(), match.end()) for match in regex.finditer(line))


def _submatch(text: str, start: int, end: int) -> Submatch:
    return Submatch(text[start:end], _size(text[:start]), _size(text[:end]))


def _size(text: str) -> int:
    return len(text.encode())


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
