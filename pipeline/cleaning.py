"""The rules of silver: typed, trimmed, canonical, one row an id; what breaks one is set aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import places
from pipeline.records import COORDINATES, FIELDS

__all__ = ["QUARANTINE_SCHEMA", "RANGES", "SCHEMA", "Cleaned", "clean"]

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        *(
            pa.field(name, pa.string())
            for name in (
                "name",
                "brewery_type",
                "address_1",
                "address_2",
                "address_3",
                "city",
                "postal_code",
                "phone",
                "website_url",
            )
        ),
        pa.field("longitude", pa.float64()),
        pa.field("latitude", pa.float64()),
        pa.field("country", pa.string()),
        pa.field("state", pa.string()),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("page", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("record", pa.string(), nullable=False),
    ]
)
RANGES = {"longitude": (-180.0, 180.0), "latitude": (-90.0, 90.0)}
# Bytes. Country and state name a folder, where each byte may take three and 255 is the end.
MAX_BYTES = {name: 4096 for name in FIELDS if name not in COORDINATES} | {
    "country": 80,
    "state": 80,
}
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of bronze's rows; silver + quarantine + duplicates is all of them."""

    silver: Any
    quarantine: Any
    duplicates: int


def clean(raw: Any) -> Cleaned:
    """Apply every rule to a table of `records.RAW_SCHEMA`; the last reading of an id wins."""
    tidy = _canonical(_tidy(raw))
    reason = _reason(tidy)
    accepted = tidy.filter(pc.is_null(reason))
    kept = _last_readings(accepted)
    silver = pa.table({name: _column(kept, name) for name in SCHEMA.names}, schema=SCHEMA).sort_by(
        [("country", "ascending"), ("state", "ascending"), ("id", "ascending")]
    )
    rejected = tidy.append_column("reason", reason).filter(pc.is_valid(reason))
    quarantine = rejected.select(QUARANTINE_SCHEMA.names).cast(QUARANTINE_SCHEMA)
    return Cleaned(silver, quarantine, accepted.num_rows - kept.num_rows)


def _tidy(raw: Any) -> Any:
    """Trim every text, make runs of space one, blank null; fall back on the older field names."""
    table = raw
    for index, name in enumerate(table.column_names):
        if name in FIELDS:
            table = table.set_column(index, name, _tidy_text(table[name]))
    state = pc.coalesce(table["state_province"], table["state"])
    address = pc.coalesce(table["address_1"], table["street"])
    table = _set(_set(table, "state", state), "address_1", address)
    return _set(table, "brewery_type", pc.utf8_lower(table["brewery_type"]))


def _tidy_text(text: Any) -> Any:
    composed = pc.utf8_normalize(text, form="NFC")
    spaced = pc.replace_substring_regex(composed, r"[\s\p{Z}\p{Cc}]+", " ")
    trimmed = pc.utf8_trim_whitespace(spaced)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _canonical(table: Any) -> Any:
    """Replace known spellings of countries and states by the canonical one."""
    names = {name: name for name in places.STATES} | places.COUNTRY_VARIANTS
    country = _look_up(table["country"], names, table["country"])
    spellings = {
        _place(country_name, state): state
        for country_name, states in places.STATES.items()
        for state in states.split("|")
    } | {_place(*place): state for place, state in places.STATE_VARIANTS.items()}
    key = pc.binary_join_element_wise(country, table["state"], "/")
    state = _look_up(key, spellings, table["state"])
    return _set(_set(table, "country", country), "state", state)


def _place(country: str, state: str) -> str:
    return f"{country}/{state}"


def _look_up(text: Any, canonical: dict[str, str], otherwise: Any) -> Any:
    # Both sides are lowered by the same function, so no locale or Unicode version comes between.
    keys = pc.utf8_lower(pa.array(canonical.keys(), pa.string()))
    found = pc.index_in(pc.utf8_lower(text), value_set=keys, skip_nulls=True)
    return pc.coalesce(pc.take(pa.array(canonical.values(), pa.string()), found), otherwise)


def _reason(table: Any) -> Any:
    """Why each row is rejected, null where it is not: the first rule that it breaks."""
    reasons = [table["defect"], _when(pc.is_null(table["id"]), "id: missing")]
    for name, limit in MAX_BYTES.items():
        too_long = pc.greater(pc.binary_length(table[name]), limit)
        reasons.append(_when(too_long, f"{name}: longer than {limit} bytes"))
    for name in COORDINATES:
        low, high = RANGES[name]
        written = pc.match_substring_regex(table[name], _NUMBER)
        reasons.append(_when(pc.invert(written), f"{name}: not a number"))
        value = _column(table, name)
        outside = pc.or_(pc.less(value, low), pc.greater(value, high))
        reasons.append(_when(outside, f"{name}: not within {low:g} to {high:g}"))
    return pc.coalesce(*reasons)


def _when(mask: Any, reason: str) -> Any:
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(reason), pa.scalar(None, pa.string()))


def _column(table: Any, name: str) -> Any:
    """A column as silver holds it: coordinates as numbers, null where the text is none."""
    text = table[name]
    if name not in COORDINATES:
        return text
    written = pc.match_substring_regex(text, _NUMBER)
    return pc.cast(pc.if_else(written, text, pa.scalar(None, pa.string())), pa.float64())


def _last_readings(table: Any) -> Any:
    """The last row of each id; rows are in reading order."""
    if table.num_rows == 0:
        return table
    order = pa.array(range(table.num_rows), pa.int64())
    last = (
        pa.table({"id": table["id"], "order": order}).group_by("id").aggregate([("order", "max")])
    )
    return table.take(last["order_max"])


def _set(table: Any, name: str, column: Any) -> Any:
    return table.set_column(table.schema.get_field_index(name), name, column)
