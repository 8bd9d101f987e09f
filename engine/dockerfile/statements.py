"""From the text of a Dockerfile to its statements: comments gone, continued lines joined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.dockerfile import heredoc
from engine.dockerfile.characters import BLANKS, SPACES
from engine.dockerfile.directives import DirectiveReader
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.instructions import Directives
from engine.dockerfile.words import json_words, split_flags

# The escape character ends a line that goes on, unless another one stands before it.
_CONTINUATION = {
    escape: re.compile(rf"(?:^|(?<=[^{token}])){token}[ \t]*\Z")
    for escape, token in (("\\", r"\\"), ("`", "`"))
}
_MAY_HOLD_HEREDOCS = ("ADD", "COPY", "RUN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One instruction as text: `keyword --flags arguments`, with its here documents."""

    line: int
    original: str
    keyword: str
    flags: tuple[str, ...]
    arguments: str
    escape: str = "\\"
    heredocs: tuple[heredoc.Opening, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A file's directives and statements."""

    directives: Directives
    statements: tuple[Statement, ...]


def read_source(text: str, name: str) -> Source:
    """The statements of a Dockerfile; `name` is the file's, for error texts."""
    reader = DirectiveReader()
    lines = _Lines(text.removeprefix("\ufeff"))
    statements: list[Statement] = []
    for line in lines:
        first = lines.number
        try:
            reader.read(line.rstrip("\r\n").lstrip(SPACES), first)
            joined = _join(line.lstrip(SPACES), lines, reader.escape)
        except DockerfileError as error:
            raise error.located(first, name, line) from None
        if not joined:
            continue
        try:
            statements.append(_statement(joined, first, reader.escape, lines))
        except DockerfileError as error:
            raise error.located(first, name, joined) from None
    if not statements:
        raise DockerfileError("file with no instructions", name=name)
    return Source(reader.directives(), tuple(statements))


def split_statement(text: str, line: int, escape: str) -> Statement:
    """One joined line, cut into keyword, flags and arguments."""
    keyword, *rest = BLANKS.split(text.strip(SPACES), maxsplit=1)
    flags, arguments = split_flags(rest[0] if rest else "", escape)
    return Statement(
        line=line,
        original=text,
        keyword=keyword,
        flags=flags,
        arguments=arguments,
        escape=escape,
    )


class _Lines(Iterator[str]):
    """The lines of a text with their ends, and the number of the one taken last."""

    def __init__(self, text: str) -> None:
        self._rest = iter(text.split("\n"))
        self._held = next(self._rest)
        self._ended = False
        self.number = 0

    def __next__(self) -> str:
        if self._ended:
            raise StopIteration
        line = self._held
        try:
            self._held = next(self._rest)
            line += "\n"
        except StopIteration:
            self._ended = True
            if not line:
                raise
        self.number += 1
        return line


def _join(line: str, lines: Iterator[str], escape: str) -> str:
    """`line` with those that continue it; comments and empty lines between them do not count."""
    continued, text = _content(line, escape)
    parts = [text]
    while continued:
        following = next(lines, None)
        if following is None:
            break
        if not following.strip(SPACES) or following.lstrip(SPACES).startswith("#"):
            continue
        continued, text = _content(following, escape)
        parts.append(text)
    return "".join(parts)


def _content(line: str, escape: str) -> tuple[bool, str]:
    line = line.rstrip("\r\n")
    if line.startswith("#"):
        return False, ""
    match = _CONTINUATION[escape].search(line)
    return (True, line[: match.start()]) if match else (False, line)


def _statement(text: str, line: int, escape: str, lines: Iterator[str]) -> Statement:
    statement = split_statement(text, line, escape)
    if "<<" not in text or not _takes_heredocs(statement, escape):
        return statement
    found = tuple(heredoc.read(opening, lines) for opening in heredoc.openings(text))
    return replace(statement, heredocs=found)


def _takes_heredocs(statement: Statement, escape: str) -> bool:
    if statement.keyword.upper() == "ONBUILD":
        statement = split_statement(statement.arguments, statement.line, escape)
    if statement.keyword.upper() not in _MAY_HOLD_HEREDOCS:
        return False
    return json_words(statement.arguments) is None
