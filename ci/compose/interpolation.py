"""Variables in compose files: `$NAME`, `${NAME}` and the operators of the Compose specification."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables replaced; `$$` is a dollar sign, and so is one that starts none.

    An unset variable without a default is empty, as in Compose. Raises ValueError for a brace that
    is not closed or holds no variable, and for a required variable that is missing.
    """
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        value, at = _variable(text, dollar + 1, environ)
        out.append(value)
    return "".join([*out, text[at:]])


def _variable(text: str, at: int, environ: Mapping[str, str]) -> tuple[str, int]:
    """Value of the variable whose `$` stands before `at`, and where the text goes on."""
    if text.startswith("$", at):
        return "$", at + 1
    braced = text.startswith("{", at)
    name = _NAME.match(text, at + braced)
    if name is None and not braced:
        return "$", at
    if name is None:
        raise ValueError(f"'${{' starts no variable in {text!r}: write '$$' for a dollar sign")
    if not braced:
        return environ.get(name[0], ""), name.end()
    end = _closing_brace(text, name.end())
    operator = _OPERATOR.match(text, name.end())
    if operator is not None:
        word = text[operator.end() : end]
        return _applied(operator[0], name[0], word, environ), end + 1
    if name.end() == end:
        return environ.get(name[0], ""), end + 1
    raise ValueError(f"{text[name.end() : end]!r} is no operator in {text!r}")


def _closing_brace(text: str, at: int) -> int:
    """Where the variable ends whose braces are open at `at`; others may be within."""
    depth = 1
    while at < len(text):
        if text.startswith(("$$", "${"), at):
            depth += text[at + 1] == "{"
            at += 2
            continue
        depth -= text[at] == "}"
        if not depth:
            return at
        at += 1
    raise ValueError(f"a brace is not closed in {text!r}")


def _applied(operator: str, name: str, word: str, environ: Mapping[str, str]) -> str:
    """What the variable comes to; variables of a word that is not needed are not looked at."""
    value = environ.get(name, "")
    # With a colon an empty value counts as unset.
    given = bool(value) if operator.startswith(":") else name in environ
    if operator.endswith("+"):
        return interpolate(word, environ) if given else ""
    if given:
        return value
    word = interpolate(word, environ)
    if operator.endswith("-"):
        return word
    raise ValueError(f"{name} must be set{f': {word}' if word else ''}")
