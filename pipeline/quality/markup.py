"""Text from the source in HTML, where it may say anything and do nothing."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["number", "percent", "shown"]

# What a browser may take for a command to the line: controls, and letters that turn its direction.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST = 160


def shown(text: object, longest: int = LONGEST) -> str:
    """The text as HTML, cut where it is long; what cannot be seen is shown as a code point."""
    plain = str(text)
    cut = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return html.escape(_UNSEEN.sub(_code_point, _calm(cut)))


def number(value: int) -> str:
    return f"{value:,}"


def percent(part: float, whole: float) -> str:
    """A share with one decimal; what is not nothing is not shown as nothing."""
    share = part / whole if whole else 0.0
    return "&lt; 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _code_point(found: re.Match[str]) -> str:
    return f"<U+{ord(found[0]):04X}>"


def _calm(text: str) -> str:
    """At most two combining marks in a row: a tower of them would cover other lines."""
    kept: list[str] = []
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= 2:
            kept.append(letter)
    return "".join(kept)
