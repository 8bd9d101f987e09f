"""COPY and ADD: the instructions that bring files in."""

from __future__ import annotations

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.flags import Flags
from engine.dockerfile.heredoc import is_heredoc, parse_opening
from engine.dockerfile.instructions import Add, Copy, Heredoc
from engine.dockerfile.statements import Statement
from engine.dockerfile.words import json_words, split_blanks

_COMMON = ("chown", "chmod")


def read_copy(statement: Statement) -> Copy:
    """COPY."""
    words = _words(statement, "COPY")
    flags = Flags(
        statement.flags,
        text=(*_COMMON, "from"),
        boolean=("link", "parents"),
        repeated=("exclude",),
    )
    sources, heredocs = _sources(statement, words[:-1])
    return Copy(
        line=statement.line,
        original=statement.original,
        sources=sources,
        heredocs=heredocs,
        destination=_destination(words[-1], "COPY"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.choice("link")),
        excludes=flags.every("exclude"),
        from_=flags.text("from"),
        parents=bool(flags.choice("parents")),
    )


def read_add(statement: Statement) -> Add:
    """ADD."""
    words = _words(statement, "ADD")
    flags = Flags(
        statement.flags,
        text=(*_COMMON, "checksum"),
        boolean=("link", "keep-git-dir", "unpack"),
        repeated=("exclude",),
    )
    sources, heredocs = _sources(statement, words[:-1])
    return Add(
        line=statement.line,
        original=statement.original,
        sources=sources,
        heredocs=heredocs,
        destination=_destination(words[-1], "ADD"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.choice("link")),
        excludes=flags.every("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.choice("keep-git-dir"),
        unpack=flags.choice("unpack"),
    )


def _words(statement: Statement, keyword: str) -> list[str]:
    listed = json_words(statement.arguments)
    words = split_blanks(statement.arguments) if listed is None else list(listed)
    if len(words) < 2:
        raise DockerfileError(
            f"{keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    return words


def _destination(word: str, keyword: str) -> str:
    if is_heredoc(word):
        raise DockerfileError(f"{keyword} cannot accept a heredoc as a destination")
    return word


def _sources(statement: Statement, words: list[str]) -> tuple[tuple[str, ...], tuple[Heredoc, ...]]:
    """The paths among `words`, and the here documents among them."""
    documents = {opening.name: opening.document() for opening in statement.heredocs}
    paths: list[str] = []
    heredocs: list[Heredoc] = []
    for word in words:
        opening = parse_opening(word) if is_heredoc(word) else None
        if opening and opening.name in documents:
            heredocs.append(documents[opening.name])
        else:
            paths.append(word)
    return tuple(paths), tuple(heredocs)
