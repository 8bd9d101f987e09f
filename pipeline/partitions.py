"""Silver's folders: one for each country and state, whatever these are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.background import for_each
from pipeline.cleaning import SCHEMA
from pipeline.errors import LakeError
from pipeline.lake import Lake

__all__ = ["FILE_SCHEMA", "NULL_PARTITION", "PARTITION_KEYS", "read_part", "write_parts"]

PARTITION_KEYS = ("country", "state")
FILE_SCHEMA = pa.schema([field for field in SCHEMA if field.name not in PARTITION_KEYS])
# What Hive, Spark, DuckDB and pyarrow read as a null partition value.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
# Columns of few values: to look for repetition in the others costs a third of the time.
_REPEATING = ("brewery_type", "city")


def write_parts(lake: Lake, folder: str, name: str, batches: Iterable[Any]) -> int:
    """Write a file of this name into each partition of rows that are sorted by partition.

    Returns how many rows there were.
    """
    rows = 0

    def counted() -> Iterator[tuple[str, Any]]:
        nonlocal rows
        for place, part in _parts(batches):
            rows += part.num_rows
            yield f"{folder}/{_folder(place)}/{name}", part

    for_each(counted(), lambda part: _write(lake, *part))
    return rows


def read_part(lake: Lake, path: str, schema: Any) -> Any:
    """The columns of `schema` of one file, keys too; LakeError for a file of another schema."""
    stored = parquet.decode(lake.read(path), [n for n in schema.names if n in FILE_SCHEMA.names])
    folders = dict(folder.split("=", 1) for folder in path.split("/")[-3:-1])
    keys = {
        key: pa.repeat(pa.scalar(_unquote(folders[key]), pa.string()), stored.num_rows)
        for key in PARTITION_KEYS
    }
    columns = [keys[name] if name in keys else stored[name] for name in schema.names]
    table = pa.table(columns, names=schema.names)
    if table.schema.types != schema.types:
        raise LakeError(f"{path} does not have the declared schema")
    return table.cast(schema)


def _write(lake: Lake, path: str, part: Any) -> None:
    lake.write(path, parquet.encode(part, dictionary=_REPEATING))


def _parts(batches: Iterable[Any]) -> Iterator[tuple[tuple[str | None, ...], Any]]:
    """Each partition's keys and rows."""
    place: tuple[str | None, ...] = ()
    slices: list[Any] = []
    for batch in batches:
        for piece in _pieces(batch):
            piece_place = tuple(piece[key][0].as_py() for key in PARTITION_KEYS)
            if slices and piece_place != place:
                yield place, _table(slices)
                slices = []
            place = piece_place
            slices.append(piece)
    if slices:
        yield place, _table(slices)


def _pieces(batch: Any) -> Iterator[Any]:
    """The batch, cut where a key changes."""
    if not batch.num_rows:
        return
    # Silver holds no empty text, so that it can stand for null here.
    keys = [pc.fill_null(batch[key], "") for key in PARTITION_KEYS]
    changes = [pc.not_equal(key[1:], key[:-1]).to_numpy(zero_copy_only=False) for key in keys]
    cuts = [0, *(np.flatnonzero(np.logical_or(*changes)) + 1).tolist(), batch.num_rows]
    for start, end in zip(cuts, cuts[1:], strict=False):
        yield batch.slice(start, end - start)


def _table(slices: list[Any]) -> Any:
    return pa.Table.from_batches(slices).select(FILE_SCHEMA.names).cast(FILE_SCHEMA)


def _folder(place: tuple[str | None, ...]) -> str:
    return "/".join(
        f"{key}={_quote(value)}" for key, value in zip(PARTITION_KEYS, place, strict=True)
    )


def _quote(value: str | None) -> str:
    if value is None:
        return NULL_PARTITION
    # A place that is called like that must not meet null in one folder.
    return quote(value, safe="") if value != NULL_PARTITION else value.replace("_", "%5F")


def _unquote(text: str) -> str | None:
    return None if text == NULL_PARTITION else unquote(text)
