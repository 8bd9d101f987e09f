"""Gold: how many breweries of each type there are in each place; equal input gives equal bytes."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.cleaning import SCHEMA
from pipeline.lake import Lake
from pipeline.partitions import read_part
from pipeline.silver import silver_files

__all__ = ["TABLES", "aggregate", "count", "encode", "write_gold"]

# Table name and the place that it counts by, coarse to fine.
TABLES: dict[str, list[str]] = {
    "breweries_by_state": ["country", "state"],
    "breweries_by_city": ["country", "state", "city"],
}
FINEST = TABLES["breweries_by_city"]
COUNT = "breweries"
_READERS = 2


def count(silver: Any) -> Any:
    """Breweries of each type in each of the finest places that rows of silver name."""
    keys = [*FINEST, "brewery_type"]
    counted = silver.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    return counted.rename_columns([*keys, COUNT])


def aggregate(counted: Any, place: list[str]) -> Any:
    """Breweries per type and place, sorted by code point, unknown places last."""
    keys = [*place, "brewery_type"]
    summed = counted.group_by(keys, use_threads=False).aggregate([(COUNT, "sum")])
    table = summed.rename_columns([*keys, COUNT])
    order = [(key, "ascending", "at_end") for key in keys]
    return table.take(pc.sort_indices(table, sort_keys=order))


def write_gold(lake: Lake, run_id: str) -> dict[str, int]:
    """Write each gold table as CSV, JSON and Parquet; returns the rows of each table."""
    schema = pa.schema([SCHEMA.field(name) for name in (*FINEST, "brewery_type")])
    paths = silver_files(lake, run_id)
    # File by file: memory holds counts, not rows.
    with ThreadPoolExecutor(_READERS) as readers:
        parts = list(readers.map(lambda path: count(read_part(lake, path, schema)), paths))
    counted = pa.concat_tables([count(schema.empty_table()), *parts])
    folder = lake.folder("gold", run_id)
    lake.clear(folder)
    rows: dict[str, int] = {}
    for name, place in TABLES.items():
        table = aggregate(counted, place)
        for suffix, data in encode(table).items():
            lake.write(f"{folder}/{name}.{suffix}", data)
        rows[name] = table.num_rows
    return rows


def encode(table: Any) -> dict[str, bytes]:
    """The table in every format, by its suffix."""
    rows = table.to_pylist()
    text = io.StringIO()
    writer = csv.DictWriter(text, table.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return {
        "csv": text.getvalue().encode(),
        "json": f"[\n{lines}\n]\n".encode(),
        "parquet": parquet.encode(table),
    }
