"""Tables to and from Parquet bytes, so that files go through the lake's own file system.

pyarrow's dataset layer calls Python file systems from background threads that can outlive the
interpreter and abort it (seen with pyarrow 26); bytes in memory involve no such thread.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["decode", "encode"]


def encode(table: Any) -> bytes:
    """The table as zstd Parquet; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def decode(data: bytes, columns: list[str] | None = None) -> Any:
    """The table in Parquet bytes, or some columns of it; ValueError or OSError for other bytes."""
    return pq.ParquetFile(pa.BufferReader(data)).read(columns=columns)
