"""Ways to damage a lake, for tests that look whether it is seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import parquet


def first(lake: Path, pattern: str) -> Path:
    return min(lake.glob(pattern))


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def set_json(path: Path, **values: object) -> None:
    edit(path, lambda text: json.dumps(json.loads(text) | values))


def drop_rows(path: Path) -> None:
    path.write_bytes(parquet.encode(parquet.decode(path.read_bytes()).slice(1)))


def set_first(path: Path, name: str, value: object) -> None:
    """Give the first row of a Parquet file another value, without changing its schema."""
    table = parquet.decode(path.read_bytes())
    column = pa.array([value, *table[name].to_pylist()[1:]], table.schema.field(name).type)
    index = table.schema.get_field_index(name)
    path.write_bytes(parquet.encode(table.set_column(index, pa.field(name, column.type), column)))


def first_for_last(path: Path) -> None:
    """Put the first row of a Parquet file in the place of its last."""
    table = parquet.decode(path.read_bytes())
    rows = pa.concat_tables([table.slice(0, table.num_rows - 1), table.slice(0, 1)])
    path.write_bytes(parquet.encode(rows))


def set_column(path: Path, name: str, column: Any) -> None:
    """Give a Parquet file another column of that name, or a new one."""
    table = parquet.decode(path.read_bytes())
    if name in table.column_names:
        table = table.drop_columns([name])
    path.write_bytes(parquet.encode(table.append_column(name, column)))


def rows_of(path: Path) -> int:
    return int(parquet.decode(path.read_bytes()).num_rows)


def drop_column(path: Path) -> None:
    table = parquet.decode(path.read_bytes())
    path.write_bytes(parquet.encode(table.select(table.column_names[1:])))


def twice(path: Path) -> None:
    shutil.copy(path, path.with_name("part-1.parquet"))
