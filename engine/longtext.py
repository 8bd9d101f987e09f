"""Texts that are too long for memory: kept in files, and answered with block by block."""

from __future__ import annotations

import codecs
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 128 << 20
"""The longest text of an answer; the real engine has this limit for the contents of a file."""

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class LongText:
    """The text in a file; bytes that are not UTF-8 become replacement characters."""

    path: Path
    size: int

    def json(self) -> Iterator[bytes]:
        """The text as a JSON string, in blocks."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        yield b'"'
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield _escaped(decoder.decode(block))
        yield _escaped(decoder.decode(b"", final=True)) + b'"'


def to_json(value: object) -> Iterator[bytes]:
    """A value as JSON, in blocks, with the long texts in it."""
    texts: list[LongText] = []
    mark = secrets.token_hex(16)

    def place(found: object) -> str:
        if not isinstance(found, LongText):
            raise TypeError(f"{type(found).__name__} is no JSON")
        texts.append(found)
        return mark

    # Bytes of file names that are no UTF-8 are surrogates here, which cannot be sent.
    whole = json.dumps(value, ensure_ascii=False, default=place)
    parts = re.split(f'"{mark}"', whole) if texts else [whole]
    for part, text in zip(parts, texts):
        yield part.encode("utf-8", "replace")
        yield from text.json()
    yield parts[-1].encode("utf-8", "replace")


def _escaped(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()
