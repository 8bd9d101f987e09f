"""A JSON array cut into its elements as written: to parse and print them would alter them."""

from __future__ import annotations

import json
import re

__all__ = ["array_elements"]

_SPACE = re.compile(r"[ \t\r\n]*")


def array_elements(text: str) -> list[str]:
    """The elements of a JSON array, each on one line as written; ValueError for other text."""
    # Numbers stay text: Python refuses to convert integers of more than 4,300 digits.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise ValueError("the answer is not a JSON array")
    position = _skip(text, position + 1)
    elements: list[str] = []
    if text[position : position + 1] != "]":
        position = _elements(decoder, text, position, elements)
    if _skip(text, position + 1) != len(text):
        raise ValueError("the answer goes on after its JSON array")
    return elements


def _elements(decoder: json.JSONDecoder, text: str, position: int, elements: list[str]) -> int:
    while True:
        try:
            end = decoder.raw_decode(text, position)[1]
        except (ValueError, RecursionError) as error:
            raise ValueError("the answer is not whole JSON") from error
        # Strings hold no raw line breaks in JSON, so these are only space between tokens.
        elements.append(text[position:end].replace("\r", " ").replace("\n", " "))
        position = _skip(text, end)
        mark = text[position : position + 1]
        if mark == "]":
            return position
        if mark != ",":
            raise ValueError("the answer is not whole JSON")
        position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
