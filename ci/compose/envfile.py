"""Files that `env_file` names, by the rules of Compose: quotes, comments, variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ci.compose.interpolation import interpolate

_KEY = re.compile(r"(?:export[ \t]+)?([A-Za-z0-9_.\-\[\]]+)[ \t]*(?:[=:][ \t]*|(?=\n|\Z))")
# A quoted value may have line breaks; a backslash keeps its own quote from ending it.
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPE = re.compile(r'\\([abcfnrtv$"\\])')
_ESCAPED = dict(zip('abfnrtv$"\\', ["\a", "\b", "\f", "\n", "\r", "\t", "\v", "$$", '"', "\\"]))


def read_variables(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of an env file; one may name earlier ones, and those of `environ`.

    A bare name takes its value from `environ`, where it has one. Raises ValueError with the line.
    """
    text = text.replace("\r\n", "\n")
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] in " \t\n":
            at += 1
            continue
        if text[at] == "#":
            at = _line_end(text, at)
            continue
        line = text.count("\n", 0, at) + 1
        try:
            at = _assignment(text, at, values, environ)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from error
    return values


def raw_variables(text: str) -> dict[str, str]:
    """The variables of an env file of the format `raw`: whatever stands behind the first `=`."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    pairs = (line.partition("=") for line in lines if line.strip() and line.lstrip()[0] != "#")
    return {name.strip(): value for name, equals, value in pairs if equals}


def _assignment(text: str, at: int, values: dict[str, str], environ: Mapping[str, str]) -> int:
    """Take the variable that is set at `at`; the end of it."""
    key = _KEY.match(text, at)
    if key is None:
        raise ValueError(f"{text[at : _line_end(text, at)]!r} sets no variable")
    name, at = key[1], key.end()
    if key[0].endswith(name):
        if name in environ:
            values[name] = environ[name]
        return at
    known = {**values, **environ}
    if text[at : at + 1] not in ("'", '"'):
        end = _line_end(text, at)
        value = text[at:end].partition(" #")[0].rstrip()
        values[name] = interpolate(value, known)
        return end
    quoted = _QUOTED.match(text, at)
    if quoted is None:
        raise ValueError(f"the quoted value of {name} does not end")
    if quoted[1] is not None:
        values[name] = quoted[1].replace("\\'", "'")
    else:
        expanded = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), quoted[2])
        values[name] = interpolate(expanded, known)
    return quoted.end()


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
