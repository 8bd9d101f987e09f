"""Env files: lines `NAME=value`, whose values quote and refer to each other as in a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.dockerfile.errors import ExpansionError, UnboundVariable
from engine.dockerfile.expand import Lexer
from engine.dockerfile.words import split_words
from engine.errors import EngineError

_WORDS = Lexer(no_unset=True)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = re.compile(r"""['"`\\]|\$[A-Za-z_{(]""")


@dataclass(frozen=True, slots=True)
class EnvFile:
    """Variables in the order in which they were first set, with their values as written."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> EnvFile:
        """The variables of a file. Raises EngineError for a line that assigns nothing.

        A comment is a variable that is called as the line, with an empty value: so the recorded
        engine has it.
        """
        made = cls()
        for line in text.split("\n"):
            if not line.strip():
                continue
            if line.lstrip().startswith("#"):
                made = made.with_variable(line.partition("=")[0], "")
                continue
            name, equals, value = line.removeprefix("export ").lstrip().partition("=")
            if not equals or not _NAME.fullmatch(name):
                raise EngineError(f'parse error: "{line}": not a bare assignment')
            made = made.with_variable(name, value)
        return made

    def with_variable(self, name: str, value: str) -> EnvFile:
        """The file with a variable, in its old place if there was one of that name."""
        if name in dict(self.pairs):
            pairs = tuple((n, value if n == name else v) for n, v in self.pairs)
            return replace(self, pairs=pairs)
        return replace(self, pairs=(*self.pairs, (name, value)))

    def without_variable(self, name: str) -> EnvFile:
        """The file without a variable."""
        return replace(self, pairs=tuple((n, v) for n, v in self.pairs if n != name))

    def values(self, outside: Mapping[str, str]) -> dict[str, str]:
        """The variables in the order of their names, expanded.

        What the file does not set is looked up `outside`. Raises EngineError for a value that is no
        shell word, and for one that refers to what is nowhere set.
        """
        found = _Values(dict(self.pairs), outside)
        return {name: found[name] for name in sorted(dict(self.pairs))}

    def value(self, name: str, outside: Mapping[str, str]) -> str:
        """One of them, whatever the others are; empty if there is none. Raises EngineError."""
        raw = dict(self.pairs)
        return _Values(raw, outside)[name] if name in raw else ""

    def text(self) -> str:
        """The file's text."""
        return "".join(f"{name}={value}\n" for name, value in self.pairs)

    def namespace(self, prefix: str, outside: Mapping[str, str]) -> EnvFile:
        """The variables whose names begin with the prefix and `_`, without it.

        The prefix counts in any case, with its words joined by `_` or by nothing.
        """
        words = [word.lower() for word in _WORD.findall(prefix)]
        found, chosen = _Values(dict(self.pairs), outside), EnvFile()
        for name, _ in self.pairs:
            for start in ("".join(words) + "_", "_".join([*words, ""])):
                if name.lower().startswith(start):
                    chosen = chosen.with_variable(name[len(start) :], quoted(found[name]))
                    break
        return chosen


def quoted(value: str) -> str:
    """A value as it is written in an env file so that it stays as it is."""
    if not _SHELL.search(value):
        return value
    return "'" + value.replace("'", "'\"'\"'") + "'"


class _Values(Mapping[str, str]):
    """Values, expanded when they are first asked for: one may refer to a later one."""

    def __init__(self, raw: dict[str, str], outside: Mapping[str, str]) -> None:
        self._raw = raw
        self._outside = outside
        self._known: dict[str, str] = {}
        self._open: set[str] = set()

    def __getitem__(self, name: str) -> str:
        if name in self._known:
            return self._known[name]
        if name not in self._raw:
            return self._outside[name]
        if name in self._open:
            return ""
        inner = bool(self._open)
        self._open.add(name)
        try:
            self._known[name] = self._expanded(name)
        except EngineError:
            if not inner:
                raise
            return ""  # as in the real engine, which then finds it unbound
        finally:
            self._open.discard(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._outside, **self._raw})

    def __len__(self) -> int:
        return len({**self._outside, **self._raw})

    def _expanded(self, name: str) -> str:
        value = self._raw[name]
        if not _SHELL.search(value):
            return value
        if "`" in value or "$(" in value:
            raise EngineError(f"{name}: a command in an env file is not run: {value!r}")
        words = []
        for word in split_words(value, "\\"):
            if word.startswith("#"):
                break
            words.append(self._word(name, word))
        return " ".join(words)

    def _word(self, name: str, word: str) -> str:
        try:
            return _WORDS.word(word, self)
        except ExpansionError as error:
            raise EngineError(f"{name}: {error.message}") from None
        except UnboundVariable as error:
            raise EngineError(f"{name}: {error}") from None
