"""What one record says: the fields that count, and an exact reading of the records that are odd.

DuckDB reads nearly all lines, but it cannot tell an object from a text that looks like one. Lines
where that may matter are read here once more, so that the result does not depend on the engine.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa

__all__ = ["COORDINATES", "FIELDS", "RECORD_SCHEMA", "read_exactly"]

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
RECORD_SCHEMA = pa.schema(
    [
        pa.field("page", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("line", pa.string(), nullable=False),
        # Why the record cannot be read at all; null for one that can.
        pa.field("defect", pa.string()),
        *(pa.field(name, pa.string()) for name in FIELDS),
    ]
)


def read_exactly(lines: Any) -> Any:
    """A table of RECORD_SCHEMA for one of page, row and line."""
    columns: dict[str, list[Any]] = {name: [] for name in ("defect", *FIELDS)}
    for line in lines["line"].to_pylist():
        values, defect = _read(line)
        for name in FIELDS:
            columns[name].append(values.get(name))
        columns["defect"].append(defect)
    where = {name: lines[name] for name in ("page", "row", "line")}
    return pa.table(where | columns, schema=RECORD_SCHEMA)


def _read(line: str) -> tuple[dict[str, str | None], str | None]:
    try:
        record = json.loads(
            line,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=str,
            object_pairs_hook=_object,
        )
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
        else:
            defect = defect or f"{name}: not text"
    return values, defect


# Numbers become the text that DuckDB makes of them, and of a name that occurs twice the first
# counts, as there.


def _integer(text: str) -> str:
    return "0" if text == "-0" else text


def _decimal(text: str) -> str:
    value = float(text)
    return repr(value) if math.isfinite(value) else text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _is_text(value: object) -> bool:
    # JSON can spell half a surrogate pair (\ud800), which no UTF-8 column can hold.
    return isinstance(value, str) and (value.isascii() or _encodes(value))


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
