"""Here documents: finding `<<NAME` in a line, and what follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.dockerfile.errors import DockerfileError, ExpansionError
from engine.dockerfile.expand import Lexer
from engine.dockerfile.instructions import Heredoc

_OPENING = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)\Z")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_WORDS = Lexer(keep_quotes=True, keep_escapes=True, keep_unset=True)
_BARE = Lexer(keep_unset=True)
_QUOTED = Lexer(keep_quotes=True, keep_unset=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A `<<NAME` and, once read, the lines up to NAME as they stand in the file."""

    name: str
    expand: bool
    strip_tabs: bool
    raw: str = ""

    def closed_by(self, line: str) -> bool:
        """Whether `line` is the one that ends the document."""
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.strip_tabs else line) == self.name

    def document(self) -> Heredoc:
        """The here document as an instruction holds it."""
        content = _LEADING_TABS.sub("", self.raw) if self.strip_tabs else self.raw
        return Heredoc(name=self.name, content=content, expand=self.expand)


def parse_opening(word: str) -> Opening | None:
    """`word` read as `<<NAME`, `<<-NAME` or `3<<'NAME'`, or None when it is something else."""
    match = _OPENING.match(word)
    if not match or not match[3]:
        return None
    bare = _BARE.words(match[3], {})
    if len(bare) != 1:
        return None
    quoted = "".join(_QUOTED.words(match[3], {}))
    expand = _quotes(bare[0]) == _quotes(quoted)
    return Opening(name=bare[0], expand=expand, strip_tabs=match[2] == "-")


def is_heredoc(word: str) -> bool:
    """Whether `word` opens a here document."""
    try:
        return parse_opening(word) is not None
    except ExpansionError:
        return False


def openings(line: str) -> list[Opening]:
    """Every here document that `line` opens, in order."""
    if "<<" not in line:
        return []
    try:
        words = _WORDS.words(line, {})
    except ExpansionError:
        return []  # quotes that do not close are the shell's business
    return [found for word in words if (found := parse_opening(word))]


def read(opening: Opening, lines: Iterator[str]) -> Opening:
    """`opening` with the text that `lines` hold for it; takes the closing line too."""
    taken: list[str] = []
    for line in lines:
        if opening.closed_by(line):
            return replace(opening, raw="".join(taken))
        taken.append(line)
    raise DockerfileError("unterminated heredoc")


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')
