"""From bronze lines to one table of text: what each record says, before any rule judges it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

__all__ = ["COORDINATES", "FIELDS", "RAW_SCHEMA", "to_table"]

COORDINATES = ("longitude", "latitude")
FIELDS = (
    "id",
    "name",
    "brewery_type",
    "address_1",
    "address_2",
    "address_3",
    "city",
    "state_province",
    "state",
    "street",
    "postal_code",
    "country",
    "phone",
    "website_url",
    *COORDINATES,
)
RAW_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in FIELDS),
        pa.field("page", pa.int32()),
        pa.field("row", pa.int32()),
        pa.field("record", pa.string()),
        # Why the record cannot be read at all; null for one that can.
        pa.field("defect", pa.string()),
    ]
)


def to_table(pages: Iterable[tuple[int, list[str]]]) -> Any:
    """A table of RAW_SCHEMA with a row for every line, in reading order; rows count from 1."""
    columns: dict[str, list[Any]] = {name: [] for name in RAW_SCHEMA.names}
    for page, lines in pages:
        for row, line in enumerate(lines, 1):
            values, defect = _read(line)
            for name in FIELDS:
                columns[name].append(values.get(name))
            columns["page"].append(page)
            columns["row"].append(row)
            columns["record"].append(line)
            columns["defect"].append(defect)
    return pa.table(columns, schema=RAW_SCHEMA)


def _read(line: str) -> tuple[dict[str, str | None], str | None]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}, "not JSON"
    if not isinstance(record, dict):
        return {}, "not a JSON object"
    values: dict[str, str | None] = {}
    defect = None
    for name in FIELDS:
        value = record.get(name)
        if value is None or _is_text(value):
            values[name] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = str(value)
        else:
            defect = defect or f"{name}: not text"
    return values, defect


def _is_text(value: object) -> bool:
    # JSON can spell half a surrogate pair (\ud800), which no UTF-8 column can hold.
    return isinstance(value, str) and (value.isascii() or _encodes(value))


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
