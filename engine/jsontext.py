"""JSON from strangers: files of containers, images of registries."""

from __future__ import annotations

import json
import re
from typing import Any

MOST_NESTED = 1000
"""How deep arrays and objects may lie in each other."""

# Possessive: a long string would leave as many places to come back to as it has characters.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]', re.DOTALL)


def parse(text: str | bytes | bytearray) -> Any:
    """The value of a JSON text. Raises ValueError, also for one that is nested too deeply.

    The decoder of Python calls itself, and the engine's limit for that is so high (chains of a
    thousand calls need it) that a deep text would end the process.
    """
    if not isinstance(text, str):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(text) > MOST_NESTED:
        raise ValueError(f"nested deeper than {MOST_NESTED}")
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:  # of a process with Python's own limit, which is lower
        raise ValueError("nested too deeply for this process") from None


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(first, 0)
        deepest = max(deepest, depth)
    return deepest


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
