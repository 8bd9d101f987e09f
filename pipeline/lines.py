"""Bronze as a stream of lines in Arrow, each with the page and row where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import bronze
from pipeline.bronze import Landed
from pipeline.errors import LakeError
from pipeline.lake import Lake

__all__ = ["LINES_SCHEMA", "read_lines", "to_batch"]

# With 64-bit offsets no page is too long.
LINES_SCHEMA = pa.schema([("line", pa.large_string()), ("page", pa.int32()), ("row", pa.int32())])
# The API's pages are small: joined, they keep both threads of a small machine busy.
BATCH_BYTES = 4 * 1024 * 1024
_NEWLINE = 10


@contextmanager
def read_lines(lake: Lake, run_id: str, pages: list[Landed]) -> Iterator[Any]:
    """A reader of record batches of LINES_SCHEMA; rows count from 1, lines keep their line break.

    The block raises LakeError for a page that is missing, damaged or no UTF-8.
    """
    failed: list[Exception] = []

    def batches() -> Iterator[Any]:
        try:
            yield from _batches(lake, run_id, pages)
        except Exception as error:
            failed.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(LINES_SCHEMA, batches())
    except Exception as error:
        # Whoever reads the stream wraps what it raises in an error of its own.
        if failed:
            raise failed[0] from error
        raise


def _batches(lake: Lake, run_id: str, pages: list[Landed]) -> Iterator[Any]:
    texts: list[bytes] = []
    numbers: list[tuple[int, int]] = []
    size = 0
    for landed in pages:
        text = bronze.read_text(lake, run_id, landed)
        texts.append(text)
        numbers.append((landed["page"], landed["rows"]))
        size += len(text)
        if size >= BATCH_BYTES:
            yield to_batch(b"".join(texts), numbers)
            texts, numbers, size = [], [], 0
    yield to_batch(b"".join(texts), numbers)


def to_batch(text: bytes, pages: list[tuple[int, int]]) -> Any:
    """A record batch of pages that stand one after the other, each with its number and rows."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE) + 1
    offsets = np.concatenate(([0], ends))
    lines = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(text))
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid as error:
        first, last = pages[0][0], pages[-1][0]
        raise LakeError(f"bronze holds bytes that are not UTF-8 in pages {first} to {last}") from (
            error
        )
    counts = [rows for _, rows in pages]
    page = np.repeat(np.array([number for number, _ in pages], np.int32), counts)
    row = np.concatenate([np.arange(1, rows + 1, dtype=np.int32) for rows in counts or [0]])
    return pa.record_batch([lines, pa.array(page), pa.array(row)], schema=LINES_SCHEMA)
