"""Open Brewery DB to the lake: every step lives in `pipeline`, this file only wires them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import dag, task

from dags.failures import DEADLINE, RETRIES, run_failed
from dags.lake_run import LAYERS, PARAMS, announced, schedule, source, step


@dag(
    schedule=schedule(),
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["brewery", "lakehouse"],
    default_args={"owner": "data-engineering", **RETRIES},
    params=PARAMS,
    on_failure_callback=run_failed,
    deadline=DEADLINE,
)
def brewery_pipeline() -> None:
    """Fetches all breweries of the Open Brewery DB into **bronze** as they come, cleans them into
    **silver** (what breaks a rule: into quarantine), counts them into **gold**, and shows all that
    to readers once it is judged good.

    The source keeps no history: a backfill makes a day's run from what the source says today. A
    day that is committed already stays as it is, and its tasks are skipped.
    """

    @task
    def plan() -> Any:
        """Asks the source how much there is and divides its pages among the extractions."""
        return step("plan", **source())

    # Airflow shows docstrings of tasks, but none of mapped ones.
    @task(doc_md="Lands a range of pages in bronze, as they come.")
    def extract(first: int, last: int) -> Any:
        return step("extract", first=first, last=last)

    @task
    def manifest() -> Any:
        """Seals bronze with its pages' checksums, and divides them among the cleanings."""
        step("manifest")
        return step("silver_ranges")

    @task(doc_md="Cleans a range of pages; what breaks a rule goes to quarantine.")
    def clean(first: int, last: int) -> Any:
        return step("clean", first=first, last=last)

    @task
    def buckets() -> Any:
        """Divides ids among the merges; where all readings of an id meet, the last one wins."""
        return step("silver_buckets")

    @task(doc_md="Writes a bucket of ids into the partitions of silver.")
    def merge(bucket: int) -> Any:
        return step("merge", bucket=bucket)

    @task
    def gold() -> Any:
        """Seals silver with its counts, and counts breweries per type and place."""
        step("seal")
        return step("gold")

    @task(outlets=LAYERS)
    def commit(*, outlet_events: Any = None) -> Any:
        """Judges the run and points readers at it: only then do the assets change."""
        return announced(step("commit"), outlet_events)

    ranges, ids = manifest(), buckets()
    extract.expand_kwargs(plan()) >> ranges >> ids
    clean.expand_kwargs(ranges) >> merge.expand_kwargs(ids) >> gold() >> commit()


brewery_pipeline()
