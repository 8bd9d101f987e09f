"""Gold: how many breweries of each type there are in each place; equal input gives equal bytes."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline import parquet
from pipeline.cleaning import SCHEMA
from pipeline.lake import Lake
from pipeline.partitions import read_part
from pipeline.silver import silver_files

__all__ = ["FORMATS", "TABLES", "aggregate", "count", "encode", "read_gold", "write_gold"]

# Table name and the place that it counts by, coarse to fine.
TABLES: dict[str, list[str]] = {
    "breweries_by_state": ["country", "state"],
    "breweries_by_city": ["country", "state", "city"],
}
FINEST = TABLES["breweries_by_city"]
FORMATS = ("csv", "json", "parquet")
COUNT = "breweries"
_READERS = 2


def count(silver: Any) -> Any:
    """Breweries of each type in each of the finest places that rows of silver name."""
    keys = [*FINEST, "brewery_type"]
    counted = silver.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    return counted.rename_columns([*keys, COUNT])


def aggregate(counted: Any, place: list[str]) -> pd.DataFrame:
    """Breweries per type and place, sorted by code point, unknown places last."""
    keys = [*place, "brewery_type"]
    summed = counted.group_by(keys, use_threads=False).aggregate([(COUNT, "sum")])
    frame: pd.DataFrame = summed.rename_columns([*keys, COUNT]).to_pandas(
        types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get
    )
    return frame.sort_values(keys, na_position="last", kind="stable", ignore_index=True)


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
        frame = aggregate(counted, place)
        for suffix, data in encode(frame).items():
            lake.write(f"{folder}/{name}.{suffix}", data)
        rows[name] = len(frame)
    return rows


def read_gold(lake: Lake, run_id: str, name: str, suffix: str) -> list[dict[str, Any]]:
    """The rows of one gold file, alike whatever its format."""
    data = lake.read(f"{lake.folder('gold', run_id)}/{name}.{suffix}")
    if suffix == "csv":
        frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
        return [_from_csv(row) for row in frame.to_dict("records")]
    rows = json.loads(data) if suffix == "json" else parquet.decode(data).to_pylist()
    return list(rows)


def _from_csv(row: dict[Any, Any]) -> dict[str, Any]:
    # Silver holds no empty text, so an empty cell is a null and nothing else.
    return {name: int(value) if name == COUNT else (value or None) for name, value in row.items()}


def encode(frame: pd.DataFrame) -> dict[str, bytes]:
    """The frame in every format, by its suffix."""
    # Not by pandas, which would write its own version into the file.
    table = pa.table({name: pa.Array.from_pandas(frame[name]) for name in frame.columns}).cast(
        pa.schema(
            [pa.field(name, pa.int64() if name == COUNT else pa.string()) for name in frame.columns]
        )
    )
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in table.to_pylist())
    return {
        "csv": frame.to_csv(index=False, lineterminator="\n").encode(),
        "json": f"[\n{lines}\n]\n".encode(),
        "parquet": parquet.encode(table),
    }
