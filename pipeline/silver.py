"""Silver: typed, trimmed, canonical, de-duplicated; what breaks a rule goes to quarantine."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline import bronze, places
from pipeline.lake import Lake
from pipeline.records import COORDINATES, FIELDS, to_table

__all__ = [
    "QUARANTINE_SCHEMA",
    "RANGES",
    "SCHEMA",
    "Cleaned",
    "clean",
    "read_silver",
    "write_silver",
]

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
PARTITIONS = ds.partitioning(
    pa.schema([SCHEMA.field("country"), SCHEMA.field("state")]), flavor="hive"
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
_NUMBER = r"^[+-]?[0-9]{1,20}(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?$"


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


def write_silver(lake: Lake, run_id: str) -> dict[str, int]:
    """Clean a run's bronze into its silver folder; returns the counts that it also keeps there."""
    raw = to_table(bronze.read_pages(lake, run_id))
    cleaned = clean(raw)
    folder = lake.folder("silver", run_id)
    # What an earlier try of this run left could hold partitions that are gone now.
    lake.clear(folder)
    _write_dataset(lake, f"{folder}/breweries", cleaned.silver)
    sink = io.BytesIO()
    pq.write_table(cleaned.quarantine, sink, compression="zstd")
    lake.write(f"{folder}/quarantine.parquet", sink.getvalue())
    counts = {
        "silver_rows": cleaned.silver.num_rows,
        "quarantine_rows": cleaned.quarantine.num_rows,
        "duplicate_rows": cleaned.duplicates,
    }
    lake.write_json(f"{folder}/counts.json", counts)
    return counts


def read_silver(lake: Lake, run_id: str, columns: list[str]) -> Any:
    """Columns of a run's silver table; empty when no row reached silver."""
    folder = f"{lake.folder('silver', run_id)}/breweries"
    if not lake.exists(folder):
        return SCHEMA.empty_table().select(columns)
    dataset = ds.dataset(
        lake.path(folder),
        schema=SCHEMA,
        format="parquet",
        filesystem=lake.arrow,
        partitioning=PARTITIONS,
        partition_base_dir=lake.path(folder),
    )
    return dataset.to_table(columns=columns)


def _write_dataset(lake: Lake, folder: str, table: Any) -> None:
    ds.write_dataset(
        table,
        lake.path(folder),
        filesystem=lake.arrow,
        format="parquet",
        partitioning=PARTITIONS,
        basename_template="part-{i}.parquet",
        file_options=ds.ParquetFileFormat().make_write_options(compression="zstd"),
        min_rows_per_group=50_000,
        max_partitions=1_000_000,
        # One thread writes the rows in their order, so equal input gives equal bytes.
        use_threads=False,
    )


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
    unsigned = pc.replace_substring_regex(text, r"^\+|\.$", "")
    number = pc.if_else(written, unsigned, pa.scalar(None, pa.string()))
    return pc.cast(number, pa.float64())


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
