"""Silver in the lake: Parquet by country and state, the quarantine, and their counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from pipeline import bronze, parquet
from pipeline.cleaning import SCHEMA, Cleaned, clean
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.records import to_table

__all__ = ["read_counts", "read_quarantine", "read_silver", "write_silver"]

PARTITION_KEYS = ("country", "state")
FILE_SCHEMA = pa.schema([field for field in SCHEMA if field.name not in PARTITION_KEYS])
# What Hive, Spark, DuckDB and pyarrow read as a null partition value.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def write_silver(lake: Lake, run_id: str) -> dict[str, int]:
    """Clean a run's bronze into its silver folder; returns the counts that it also keeps there."""
    cleaned = clean(to_table(bronze.read_pages(lake, run_id)))
    folder = lake.folder("silver", run_id)
    # What an earlier try of this run left could hold partitions that are gone now.
    lake.clear(folder)
    for name, part in _partitions(cleaned.silver):
        lake.write(f"{folder}/breweries/{name}/part-0.parquet", parquet.encode(part))
    lake.write(f"{folder}/quarantine.parquet", parquet.encode(cleaned.quarantine))
    counts = _counts(cleaned)
    lake.write_json(f"{folder}/counts.json", counts)
    return counts


def read_silver(lake: Lake, run_id: str, columns: list[str] | None = None) -> Any:
    """A run's silver table, or some columns of it; LakeError for a file without the schema."""
    schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    parts = [_read_part(lake, path, schema) for path in _files(lake, run_id)]
    return pa.concat_tables([schema.empty_table(), *parts])


def read_quarantine(lake: Lake, run_id: str) -> Any:
    """A run's rejected rows, each with its reason and the record as it came."""
    return parquet.decode(lake.read(f"{lake.folder('silver', run_id)}/quarantine.parquet"))


def read_counts(lake: Lake, run_id: str) -> dict[str, Any]:
    return lake.read_json(f"{lake.folder('silver', run_id)}/counts.json")


def _counts(cleaned: Cleaned) -> dict[str, int]:
    return {
        "silver_rows": cleaned.silver.num_rows,
        "quarantine_rows": cleaned.quarantine.num_rows,
        "duplicate_rows": cleaned.duplicates,
    }


def _partitions(table: Any) -> Iterator[tuple[str, Any]]:
    """Each partition's folder name and rows; the table is sorted by the partition keys."""
    keys = list(PARTITION_KEYS)
    rows = table.select(keys).append_column("row", pa.array(range(table.num_rows), pa.int64()))
    # Groups come in no promised order, so each brings along where its rows start.
    groups = rows.group_by(keys).aggregate([("row", "min"), ("row", "count")])
    files = table.select(FILE_SCHEMA.names)
    for group in groups.sort_by("row_min").to_pylist():
        name = "/".join(f"{key}={_quote(group[key])}" for key in keys)
        yield name, files.slice(group["row_min"], group["row_count"])


def _quote(value: str | None) -> str:
    return NULL_PARTITION if value is None else quote(value, safe="")


def _unquote(text: str) -> str | None:
    return None if text == NULL_PARTITION else unquote(text)


def _files(lake: Lake, run_id: str) -> list[str]:
    return lake.files(f"{lake.folder('silver', run_id)}/breweries")


def _read_part(lake: Lake, path: str, schema: Any) -> Any:
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
