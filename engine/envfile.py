"""Env files: lines `NAME=value`, whose values quote and refer to each other as in a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.dockerfile.errors import ExpansionError
from engine.dockerfile.expand import expand_word
from engine.dockerfile.words import split_words
from engine.errors import EngineError

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
        """The variables, expanded; what the file does not set is looked up `outside`.

        Raises EngineError for a value that is no shell word.
        """
        found = _Values(dict(self.pairs), outside)
        return {name: found[name] for name, _ in self.pairs}

    def text(self) -> str:
        """The file's text."""
        return "".join(f"{name}={value}\n" for name, value in self.pairs)

    def namespace(self, prefix: str, outside: Mapping[str, str]) -> EnvFile:
        """The variables whose names begin with the prefix (in any case) and `_`, without it."""
        start = prefix.replace("-", "_").removesuffix("_").lower() + "_"
        chosen = EnvFile()
        for name, value in self.values(outside).items():
            if name.lower().startswith(start):
                chosen = chosen.with_variable(name[len(start) :], quoted(value))
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
            return ""  # a circle of references is empty, as in the recorded engine
        self._open.add(name)
        self._known[name] = self._expanded(name)
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
            return expand_word(word, self)
        except ExpansionError as error:
            raise EngineError(f"{name}: {error.message}") from None
