"""Tables to and from Parquet bytes, so that files go through the lake's own file system.

pyarrow's dataset layer calls Python file systems from background threads that can outlive the
interpreter and abort it (seen with pyarrow 26); bytes in memory involve no such thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["decode", "encode", "encode_batches"]


def encode(table: Any, *, dictionary: Sequence[str] | None = None) -> bytes:
    """The table as zstd Parquet; equal tables give equal bytes.

    `dictionary` names the columns whose values repeat, by default all: it costs time to try.
    """
    sink = pa.BufferOutputStream()
    # How the table came in chunks would show in the pages of the file.
    whole = table.combine_chunks()
    named = True if dictionary is None else list(dictionary)
    pq.write_table(whole, sink, compression="zstd", use_dictionary=named)
    return bytes(sink.getvalue().to_pybytes())


def encode_batches(schema: Any, batches: Iterable[Any]) -> bytes:
    """Record batches as one zstd Parquet file, a row group each: only they are in memory."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
    return bytes(sink.getvalue().to_pybytes())


def decode(data: bytes, columns: list[str] | None = None) -> Any:
    """The table in Parquet bytes, or some columns of it; ValueError or OSError for other bytes."""
    return pq.ParquetFile(pa.BufferReader(data)).read(columns=columns)
