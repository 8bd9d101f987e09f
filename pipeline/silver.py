"""Silver in the lake: bronze is cleaned by ranges of pages, and merged by buckets of ids.

A range's accepted rows are staged in buckets by their id's hash, so that all readings of an id
meet in one bucket: its last reading is found there, and nothing but the lake is shared.
"""

from __future__ import annotations

from typing import Any, TypedDict

import pyarrow as pa

from pipeline import bronze, parquet
from pipeline.background import for_each
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
from pipeline.staging import Range, SilverPlan, Staging, named, page_ranges

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

# What one task has in hand at most, so that a run's size does not matter to it.
ROWS_PER_TASK = 1_000_000
_BATCH = 100_000
# Rejected records may be long: fewer at a time.
_REJECTED_BATCH = 2_048
_COUNTS = ("silver_rows", "quarantine_rows", "duplicate_rows")


class Bucket(TypedDict):
    """The ids whose hash leaves `bucket` when it is divided by the number of buckets."""

    bucket: int


def plan_silver(lake: Lake, run_id: str, *, tasks: int = 1) -> list[Range]:
    """Remove what an earlier try left, and divide bronze's pages: into `tasks`, or more if large.

    There are never more ranges than pages, and always one.
    """
    manifest = bronze.read_manifest(lake, run_id)
    lake.clear(lake.folder("silver", run_id))
    enough = max(1, -(-int(manifest["row_count"]) // ROWS_PER_TASK))
    ranges = page_ranges(manifest["pages"], max(tasks, enough))
    # The number of buckets shows in the files: it goes by the rows alone.
    Staging(lake, run_id).write_plan(SilverPlan(ranges=ranges, buckets=enough))
    return ranges


def silver_buckets(lake: Lake, run_id: str) -> list[Bucket]:
    """The buckets that are to be merged, once all ranges are clean."""
    count = Staging(lake, run_id).read_plan()["buckets"]
    return [Bucket(bucket=number) for number in range(count)]


def clean_range(lake: Lake, run_id: str, pages: Range) -> dict[str, int]:
    """Clean a range of pages: what is rejected goes to the quarantine, the rest is staged."""
    staging = Staging(lake, run_id)
    buckets = staging.read_plan()["buckets"]
    with database() as cleaning:
        counts = _clean(cleaning, lake, run_id, pages)
        rows = (_of_bucket(cleaning, bucket, buckets) for bucket in range(buckets))
        for_each(enumerate(rows), lambda part: staging.write_rows(part[1], pages, part[0]))
    staging.write_cleaned(pages, counts)
    return counts


def merge_bucket(lake: Lake, run_id: str, bucket: int) -> dict[str, int]:
    """Write the last reading of each of a bucket's ids into its partition."""
    staging = Staging(lake, run_id)
    rows = staging.read_rows(bucket)
    with database() as merging:
        merging.register("readings", rows)
        counts = _merge(merging, lake, run_id, bucket, rows.num_rows)
    staging.write_merged(bucket, counts)
    return counts


def seal_silver(lake: Lake, run_id: str) -> dict[str, int]:
    """Add up the counts of all ranges and buckets, and remove what was staged."""
    staging = Staging(lake, run_id)
    try:
        parts = staging.counts()
    except LakeError:
        # Sealed before by a try that could not say so; or there is something missing.
        if lake.files(f"{lake.folder('silver', run_id)}/staged"):
            raise
        return read_counts(lake, run_id)
    counts = {name: sum(int(part.get(name, 0)) for part in parts) for name in _COUNTS}
    lake.write_json(_counts_path(lake, run_id), counts)
    staging.clear()
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
    return lake.files(_breweries(lake, run_id))


def read_quarantine(lake: Lake, run_id: str) -> Any:
    """A run's rejected rows, each with its reason and the record as it came."""
    folder = f"{lake.folder('silver', run_id)}/quarantine"
    files = lake.files(folder)
    if not files:
        raise LakeError(f"{folder} is missing from the lake")
    return pa.concat_tables([parquet.decode(lake.read(path)) for path in files])


def read_counts(lake: Lake, run_id: str) -> dict[str, Any]:
    return lake.read_json(_counts_path(lake, run_id))


def _write_at_once(lake: Lake, run_id: str, pages: Range) -> None:
    """One range and one bucket: what is cleaned is merged without a detour by the lake."""
    with database() as only:
        cleaned = _clean(only, lake, run_id, pages)
        merged = _merge(only, lake, run_id, 0, cleaned["accepted_rows"])
    staging = Staging(lake, run_id)
    staging.write_cleaned(pages, cleaned)
    staging.write_merged(0, merged)


def _clean(cleaning: Database, lake: Lake, run_id: str, pages: Range) -> dict[str, int]:
    landed: list[Landed] = bronze.read_manifest(lake, run_id)["pages"]
    mine = [page for page in landed if pages["first"] <= page["page"] <= pages["last"]]
    prepare(cleaning)
    with read_lines(lake, run_id, mine) as lines:
        clean(cleaning, lines)
    rejected = cleaning.sql("SELECT * FROM rejected ORDER BY page, row")
    batches = rejected.to_arrow_reader(_REJECTED_BATCH)
    path = f"{lake.folder('silver', run_id)}/quarantine/{named(pages)}.parquet"
    lake.write(path, parquet.encode_batches(QUARANTINE_SCHEMA, batches))
    return {
        "quarantine_rows": _count(cleaning, "rejected"),
        "accepted_rows": _count(cleaning, "readings"),
    }


def _of_bucket(cleaning: Database, bucket: int, buckets: int) -> Any:
    mine = cleaning.sql(f"SELECT * FROM readings WHERE hash(id) % {buckets} = {bucket}")
    return mine.to_arrow_table().cast(READING_SCHEMA)


def _merge(merging: Database, lake: Lake, run_id: str, bucket: int, rows: int) -> dict[str, int]:
    batches = merging.sql(last_readings()).to_arrow_reader(_BATCH)
    kept = write_parts(lake, _breweries(lake, run_id), f"part-{bucket}.parquet", batches)
    return {"silver_rows": kept, "duplicate_rows": rows - kept}


def _count(counting: Database, view: str) -> int:
    ((count,),) = counting.execute(f"SELECT count(*) FROM {view}").fetchall()
    return int(count)


def _breweries(lake: Lake, run_id: str) -> str:
    return f"{lake.folder('silver', run_id)}/breweries"


def _counts_path(lake: Lake, run_id: str) -> str:
    return f"{lake.folder('silver', run_id)}/counts.json"
