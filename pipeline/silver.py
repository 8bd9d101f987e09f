"""Silver in the lake: bronze is cleaned by ranges of pages, and merged by buckets of ids.

A range's accepted rows are staged in buckets by their id's hash, so that all readings of an id
meet in one bucket: its last reading is found there, and nothing but the lake is shared.
"""

from __future__ import annotations

from typing import Any, TypedDict

import pyarrow as pa

from pipeline import bronze, parquet
from pipeline.bronze import Landed
from pipeline.cleaning import (
    QUARANTINE_SCHEMA,
    READING_SCHEMA,
    SCHEMA,
    clean,
    last_readings,
    prepare,
)
from pipeline.database import Database, database
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.lines import read_lines
from pipeline.partitions import NULL_PARTITION, read_part, write_parts

__all__ = [
    "NULL_PARTITION",
    "Bucket",
    "Range",
    "clean_range",
    "merge_bucket",
    "plan_silver",
    "read_counts",
    "read_quarantine",
    "read_silver",
    "seal_silver",
    "silver_buckets",
    "silver_files",
    "write_silver",
]

# What one task holds in memory at most, so that a run's size does not matter to it.
ROWS_PER_TASK = 1_000_000
_BATCH = 100_000
# Rejected records may be long: fewer at a time.
_REJECTED_BATCH = 2_048


class Range(TypedDict):
    """Pages `first` to `last` of bronze, both included."""

    first: int
    last: int


class Bucket(TypedDict):
    """The ids whose hash leaves `bucket` when it is divided by the number of buckets."""

    bucket: int


class _Plan(TypedDict):
    ranges: list[Range]
    buckets: int


def plan_silver(lake: Lake, run_id: str, *, tasks: int = 1) -> list[Range]:
    """Remove what an earlier try left, and divide bronze's pages: into `tasks`, or more if large.

    There are never more ranges than pages, and always one.
    """
    manifest = bronze.read_manifest(lake, run_id)
    lake.clear(lake.folder("silver", run_id))
    rows = int(manifest["row_count"])
    enough = _tasks(rows)
    plan = _Plan(ranges=_ranges(manifest["pages"], max(tasks, enough)), buckets=enough)
    lake.write_json(_staged(lake, run_id, "plan.json"), plan)
    return plan["ranges"]


def silver_buckets(lake: Lake, run_id: str) -> list[Bucket]:
    """The buckets that are to be merged, once all ranges are clean."""
    return [Bucket(bucket=number) for number in range(_plan(lake, run_id)["buckets"])]


def clean_range(lake: Lake, run_id: str, pages: Range) -> dict[str, int]:
    """Clean a range of pages: what is rejected goes to the quarantine, the rest is staged."""
    count = _plan(lake, run_id)["buckets"]
    with database() as cleaning:
        counts = _clean(cleaning, lake, run_id, pages)
        for number in range(count):
            mine = f"SELECT * FROM readings WHERE hash(id) % {count} = {number}"
            staged = cleaning.sql(mine).to_arrow_table().cast(READING_SCHEMA)
            lake.write(_staged_part(lake, run_id, number, pages), _to_ipc(staged))
    lake.write_json(_staged(lake, run_id, f"{_named(pages)}.json"), counts)
    return counts


def merge_bucket(lake: Lake, run_id: str, bucket: int) -> dict[str, int]:
    """Write the last reading of each of a bucket's ids into its partition."""
    ranges = _plan(lake, run_id)["ranges"]
    paths = [_staged_part(lake, run_id, bucket, pages) for pages in ranges]
    staged = pa.concat_tables([_from_ipc(lake.read(path)) for path in paths])
    with database() as merging:
        merging.register("readings", staged)
        counts = _merge(merging, lake, run_id, bucket, staged.num_rows)
    lake.write_json(_staged(lake, run_id, f"bucket-{bucket:05d}.json"), counts)
    return counts


def seal_silver(lake: Lake, run_id: str) -> dict[str, int]:
    """Add up the counts of all ranges and buckets, and remove what was staged."""
    plan = _plan(lake, run_id)
    names = [_named(pages) for pages in plan["ranges"]]
    names += [f"bucket-{number:05d}" for number in range(plan["buckets"])]
    parts = [lake.read_json(_staged(lake, run_id, f"{name}.json")) for name in names]
    counts = {
        name: sum(int(part.get(name, 0)) for part in parts)
        for name in ("silver_rows", "quarantine_rows", "duplicate_rows")
    }
    lake.write_json(f"{lake.folder('silver', run_id)}/counts.json", counts)
    lake.clear(f"{lake.folder('silver', run_id)}/{_STAGED}")
    return counts


def write_silver(lake: Lake, run_id: str) -> dict[str, int]:
    """All of it in this process; returns the counts, which are also kept in the lake."""
    ranges = plan_silver(lake, run_id)
    if len(ranges) == 1:
        _write_at_once(lake, run_id, ranges[0])
    else:
        for pages in ranges:
            clean_range(lake, run_id, pages)
        for bucket in silver_buckets(lake, run_id):
            merge_bucket(lake, run_id, **bucket)
    return seal_silver(lake, run_id)


def read_silver(lake: Lake, run_id: str, columns: list[str] | None = None) -> Any:
    """A run's silver table, or some columns of it; LakeError for a file without the schema."""
    schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    parts = [read_part(lake, path, schema) for path in silver_files(lake, run_id)]
    return pa.concat_tables([schema.empty_table(), *parts])


def silver_files(lake: Lake, run_id: str) -> list[str]:
    return lake.files(f"{lake.folder('silver', run_id)}/{_BREWERIES}")


def read_quarantine(lake: Lake, run_id: str) -> Any:
    """A run's rejected rows, each with its reason and the record as it came."""
    files = lake.files(f"{lake.folder('silver', run_id)}/{_QUARANTINE}")
    if not files:
        raise LakeError(f"{lake.folder('silver', run_id)}/{_QUARANTINE} is missing from the lake")
    return pa.concat_tables([parquet.decode(lake.read(path)) for path in files])


def read_counts(lake: Lake, run_id: str) -> dict[str, Any]:
    return lake.read_json(f"{lake.folder('silver', run_id)}/counts.json")


_BREWERIES, _QUARANTINE, _STAGED = "breweries", "quarantine", "staged"


def _write_at_once(lake: Lake, run_id: str, pages: Range) -> None:
    """One range and one bucket: what is cleaned is merged without a detour by the lake."""
    with database() as only:
        cleaned = _clean(only, lake, run_id, pages)
        merged = _merge(only, lake, run_id, 0, cleaned["accepted_rows"])
    lake.write_json(_staged(lake, run_id, f"{_named(pages)}.json"), cleaned)
    lake.write_json(_staged(lake, run_id, "bucket-00000.json"), merged)


def _clean(cleaning: Database, lake: Lake, run_id: str, pages: Range) -> dict[str, int]:
    landed: list[Landed] = bronze.read_manifest(lake, run_id)["pages"]
    mine = [page for page in landed if pages["first"] <= page["page"] <= pages["last"]]
    prepare(cleaning)
    clean(cleaning, read_lines(lake, run_id, mine))
    rejected = cleaning.sql("SELECT * FROM rejected ORDER BY page, row")
    batches = rejected.to_arrow_reader(_REJECTED_BATCH)
    path = f"{lake.folder('silver', run_id)}/{_QUARANTINE}/{_named(pages)}.parquet"
    lake.write(path, parquet.encode_batches(QUARANTINE_SCHEMA, batches))
    return {
        "quarantine_rows": _count(cleaning, "rejected"),
        "accepted_rows": _count(cleaning, "readings"),
    }


def _merge(merging: Database, lake: Lake, run_id: str, bucket: int, rows: int) -> dict[str, int]:
    folder = f"{lake.folder('silver', run_id)}/{_BREWERIES}"
    batches = merging.sql(last_readings()).to_arrow_reader(_BATCH)
    kept = write_parts(lake, folder, f"part-{bucket}.parquet", batches)
    return {"silver_rows": kept, "duplicate_rows": rows - kept}


def _count(counting: Database, view: str) -> int:
    ((count,),) = counting.execute(f"SELECT count(*) FROM {view}").fetchall()
    return int(count)


def _tasks(rows: int) -> int:
    return max(1, -(-rows // ROWS_PER_TASK))


def _ranges(landed: list[Landed], tasks: int) -> list[Range]:
    """At most so many ranges of nearly equal numbers of pages."""
    numbers = sorted(page["page"] for page in landed) or [1]
    count = min(tasks, len(numbers))
    bounds = [len(numbers) * index // count for index in range(count + 1)]
    return [
        Range(first=numbers[start], last=numbers[end - 1])
        for start, end in zip(bounds, bounds[1:], strict=False)
    ]


def _plan(lake: Lake, run_id: str) -> _Plan:
    plan = lake.read_json(_staged(lake, run_id, "plan.json"))
    return _Plan(ranges=plan["ranges"], buckets=plan["buckets"])


def _named(pages: Range) -> str:
    return f"pages-{pages['first']:06d}-{pages['last']:06d}"


def _staged(lake: Lake, run_id: str, name: str) -> str:
    return f"{lake.folder('silver', run_id)}/{_STAGED}/{name}"


def _staged_part(lake: Lake, run_id: str, bucket: int, pages: Range) -> str:
    return _staged(lake, run_id, f"bucket-{bucket:05d}/{_named(pages)}.arrow")


def _to_ipc(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _from_ipc(data: bytes) -> Any:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
