"""Lines cleaned by the pipeline's own rules, without a lake."""

from __future__ import annotations

import atexit
import functools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.cleaning import QUARANTINE_SCHEMA, SCHEMA, clean, last_readings, prepare
from pipeline.database import Database, database
from pipeline.lines import LINES_SCHEMA, to_batch

__all__ = ["Cleaned", "clean_lines"]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of the lines; silver + quarantine + duplicates is all of them."""

    silver: Any
    quarantine: Any
    duplicates: int


def clean_lines(*pages: list[str]) -> Cleaned:
    """Clean pages of lines, which are numbered from 1."""
    text = "".join(f"{line}\n" for page in pages for line in page).encode()
    batch = to_batch(text, [(number, len(page)) for number, page in enumerate(pages, 1)])
    shared = _database()
    clean(shared, pa.RecordBatchReader.from_batches(LINES_SCHEMA, [batch]))
    silver = shared.sql(last_readings()).to_arrow_table().cast(SCHEMA)
    rejected = shared.sql("SELECT * FROM rejected ORDER BY page, row")
    quarantine = rejected.to_arrow_table().cast(QUARANTINE_SCHEMA)
    readings = shared.sql("SELECT id FROM readings").to_arrow_table().num_rows
    return Cleaned(silver, quarantine, readings - silver.num_rows)


@functools.cache
def _database() -> Database:
    # Prepared once, as hundreds of examples go through it.
    stack = ExitStack()
    atexit.register(stack.close)
    shared = stack.enter_context(database())
    prepare(shared)
    return shared
