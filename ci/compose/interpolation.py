"""Variables in compose files: `$NAME`, `${NAME}` and the operators of the Compose specification."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", "-", ":?", "?", ":+", "+")


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables replaced, `$$` standing for a dollar sign.

    An unset variable without a default is empty, as in Compose. Raises ValueError for a `$` that
    starts no variable, a brace that is not closed and a required variable that is missing.
    """
    replaced, end = _expand(text, 0, environ, closing=False)
    if end != len(text):
        raise AssertionError("only a closing brace ends an expansion early")
    return replaced


def _expand(text: str, start: int, environ: Mapping[str, str], *, closing: bool) -> tuple[str, int]:
    """The expansion from `start` to the end, or to the brace that closes an enclosing variable."""
    out: list[str] = []
    at = start
    while at < len(text):
        if closing and text[at] == "}":
            return "".join(out), at
        if text[at] != "$":
            out.append(text[at])
            at += 1
            continue
        value, at = _variable(text, at + 1, environ)
        out.append(value)
    if closing:
        raise ValueError(f"a brace is not closed in {text!r}")
    return "".join(out), at


def _variable(text: str, at: int, environ: Mapping[str, str]) -> tuple[str, int]:
    """Value of the variable whose `$` stands before `at`, and where the text goes on."""
    if text.startswith("$", at):
        return "$", at + 1
    braced = text.startswith("{", at)
    name = _NAME.match(text, at + braced)
    if name is None:
        raise ValueError(f"'$' starts no variable in {text!r}: write '$$' for a dollar sign")
    if not braced:
        return environ.get(name[0], ""), name.end()
    if text.startswith("}", name.end()):
        return environ.get(name[0], ""), name.end() + 1
    for operator in _OPERATORS:
        if text.startswith(operator, name.end()):
            word, end = _expand(text, name.end() + len(operator), environ, closing=True)
            return _apply(operator, name[0], word, environ), end + 1
    raise ValueError(f"a brace is not closed, or an operator is unknown, in {text!r}")


def _apply(operator: str, name: str, word: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    # With a colon an empty value counts as unset.
    given = bool(value) if operator.startswith(":") else value is not None
    match operator[-1]:
        case "-":
            return value if given and value is not None else word
        case "+":
            return word if given else ""
        case _:
            if given and value is not None:
                return value
            raise ValueError(f"{name} must be set{f': {word}' if word else ''}")
