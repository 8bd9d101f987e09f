"""How the text behind a keyword is cut into words, before anything is expanded."""

from __future__ import annotations

from typing import Any

from engine.dockerfile.characters import BLANKS, SPACES, quoted
from engine.dockerfile.errors import DockerfileError
from engine.jsontext import parse


def split_flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The `--flag` words at the start of `text`, unquoted, and what follows them."""
    flags: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at] in SPACES:
            at += 1
        if not text.startswith("--", at):
            return tuple(flags), text[at:].strip(SPACES)
        word, at = _flag(text, at, escape)
        if word == "--":
            return tuple(flags), text[at:].strip(SPACES)
        flags.append(word)


def _flag(text: str, at: int, escape: str) -> tuple[str, int]:
    """The word at `at` with quotes and escapes taken away, and where it ends."""
    word = quote = ""
    while at < len(text) and (quote or text[at] not in SPACES):
        char = text[at]
        if char == escape:
            at += 1
            word += text[at : at + 1]
        elif quote or char in "'\"":
            if char == quote:
                quote = ""
            elif quote:
                word += char
            else:
                quote = char
        else:
            word += char
        at += 1
    return word, at


def split_words(text: str, escape: str) -> list[str]:
    """`text` cut at spaces that are neither quoted nor escaped; quotes and escapes stay."""
    words: list[str] = []
    word: list[str] = []
    quote = ""
    chars = iter(text)
    for char in chars:
        if not quote and char in SPACES:
            if word:
                words.append("".join(word))
                word = []
            continue
        if char == escape and quote != "'":
            following = next(chars, "")
            if not following:
                break  # nothing left to escape
            word.append(char + following)
            continue
        word.append(char)
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return [*words, "".join(word)] if word else words


def split_blanks(text: str) -> list[str]:
    """`text` cut at every run of blanks."""
    return BLANKS.split(text) if text else []


def split_pairs(text: str, keyword: str, escape: str) -> tuple[tuple[str, str], ...]:
    """`name=value ...`, or the old form `name rest of the line`, as pairs."""
    words = split_words(text, escape)
    if not words:
        raise DockerfileError(f"{keyword} requires at least one argument")
    if "=" not in words[0]:
        old = BLANKS.split(text, maxsplit=1)
        if len(old) < 2:
            raise DockerfileError(f"{keyword} must have two arguments")
        return ((old[0], old[1]),)
    return tuple(_pair(word, keyword) for word in words)


def _pair(word: str, keyword: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise DockerfileError(
            f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value"
        )
    if not name:
        raise DockerfileError(f"{keyword} names can not be blank")
    return name, value


def json_words(text: str) -> tuple[str, ...] | None:
    """`text` as a JSON list of strings, or None when it is not a JSON list."""
    text = text.lstrip(SPACES)
    if not text.startswith("["):
        return None
    try:
        values: list[Any] = parse(text)
    except ValueError:
        return None
    if not all(isinstance(value, str) for value in values):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return tuple(_without_lone_surrogates(value) for value in values)


def _without_lone_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
