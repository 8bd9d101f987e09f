"""The steps of a run, each callable alone with small JSON-able arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pipeline import extraction, quality
from pipeline.claim import Claim
from pipeline.errors import DataError
from pipeline.gold import write_gold
from pipeline.lake import Lake
from pipeline.plan import PageRange
from pipeline.rate import DEFAULT_JOBS, DEFAULT_RATE
from pipeline.silver import (
    Bucket,
    Range,
    clean_range,
    merge_bucket,
    plan_silver,
    seal_silver,
    write_silver,
)
from pipeline.silver import silver_buckets as planned_buckets
from pipeline.source import root_url

__all__ = [
    "clean",
    "commit",
    "extract",
    "gold",
    "manifest",
    "merge",
    "plan",
    "run",
    "seal",
    "silver",
    "silver_buckets",
    "silver_ranges",
]

log = logging.getLogger(__name__)


def plan(
    *,
    api: str,
    lake: str,
    run_id: str,
    tasks: int = 4,
    rate: int = DEFAULT_RATE,
    jobs: int = DEFAULT_JOBS,
) -> list[PageRange]:
    """Ask the source how much there is and divide its pages among at most `tasks` extractions.

    They share `rate`, in requests a minute (0: no limit), and `jobs`, the pages fetched at once.
    A run that was begun before keeps its plan but for these two.
    """
    if (target := _open(lake, run_id)) is None:
        return []
    target.begin(run_id)
    made = extraction.plan(target, run_id, api, tasks=tasks, rate=rate, jobs=jobs)
    log.info("plan: %s breweries, %s pages at %s", made.total, made.ranges[-1]["last"], made.source)
    return made.ranges


def extract(*, lake: str, run_id: str, first: int, last: int) -> dict[str, int]:
    """Land pages `first` to `last` of the planned source in bronze, but for those that have landed.

    It keeps to its share of the plan's rate, as other ranges may be read at the same time.
    """
    if (target := _open(lake, run_id)) is None:
        return {}
    rows = extraction.extract(target, run_id, PageRange(first=first, last=last))
    log.info("extract: pages %s to %s, %s rows", first, last, rows)
    return {"first": first, "last": last, "rows": rows}


def manifest(*, lake: str, run_id: str) -> dict[str, int]:
    """Seal bronze with its manifest, once all pages have landed and fit together.

    Where they do not, the source changed meanwhile, and all are read again before.
    """
    if (target := _open(lake, run_id)) is None:
        return {}
    written = extraction.seal(target, run_id)
    counts = {"pages": written["page_count"], "rows": written["row_count"]}
    log.info("bronze: %s", counts)
    return counts


def silver(*, lake: str, run_id: str) -> dict[str, int]:
    """Clean bronze into silver and quarantine."""
    if (target := _open(lake, run_id)) is None:
        return {}
    counts = write_silver(target, run_id)
    log.info("silver: %s", counts)
    return counts


def silver_ranges(*, lake: str, run_id: str, tasks: int = 1) -> list[Range]:
    """Divide bronze's pages among at least `tasks` cleanings, and more where there is much."""
    if (target := _open(lake, run_id)) is None:
        return []
    ranges = plan_silver(target, run_id, tasks=tasks)
    log.info("silver: %s ranges of pages to clean", len(ranges))
    return ranges


def clean(*, lake: str, run_id: str, first: int, last: int) -> dict[str, int]:
    """Clean pages `first` to `last` of bronze: into quarantine, or staged to be merged."""
    if (target := _open(lake, run_id)) is None:
        return {}
    counts = clean_range(target, run_id, Range(first=first, last=last))
    log.info("clean: pages %s to %s, %s", first, last, counts)
    return counts


def silver_buckets(*, lake: str, run_id: str) -> list[Bucket]:
    """Divide the ids that are staged among merges, once every range is clean."""
    if (target := _open(lake, run_id)) is None:
        return []
    return planned_buckets(target, run_id)


def merge(*, lake: str, run_id: str, bucket: int) -> dict[str, int]:
    """Write the last reading of each id of a bucket into silver."""
    if (target := _open(lake, run_id)) is None:
        return {}
    counts = merge_bucket(target, run_id, bucket)
    log.info("merge: bucket %s, %s", bucket, counts)
    return counts


def seal(*, lake: str, run_id: str) -> dict[str, int]:
    """Count what all cleanings and merges made; `silver` is all of these steps in one process."""
    if (target := _open(lake, run_id)) is None:
        return {}
    counts = seal_silver(target, run_id)
    log.info("silver: %s", counts)
    return counts


def gold(*, lake: str, run_id: str) -> dict[str, int]:
    """Count silver into the gold tables."""
    if (target := _open(lake, run_id)) is None:
        return {}
    rows = write_gold(target, run_id)
    log.info("gold: %s", rows)
    return rows


def commit(*, lake: str, run_id: str) -> dict[str, Any]:
    """Verify the run, point readers at it, return its verdict; DataError: not committed."""
    return _commit(Lake.at(lake), run_id)


def run(
    *, api: str, lake: str, run_id: str, rate: int = DEFAULT_RATE, jobs: int = DEFAULT_JOBS
) -> dict[str, Any]:
    """All steps in order, in this process; returns the verdict.

    ConflictError when another such run is writing the lake. A run that is committed already is
    verified again, and that is all.
    """
    target = Lake.at(lake)
    target.folder("bronze", run_id)
    root_url(api)  # what cannot be a source is refused before anything is written
    with Claim(target, f"Run {run_id}") as claim:
        # One range, as an extraction reads several pages at once by itself.
        for pages in plan(api=api, lake=lake, run_id=run_id, tasks=1, rate=rate, jobs=jobs):
            claim.require()
            extract(lake=lake, run_id=run_id, **pages)
        for step in (manifest, silver, gold):
            claim.require()
            step(lake=lake, run_id=run_id)
        return _commit(target, run_id, require=claim.require)


def _commit(
    target: Lake, run_id: str, *, require: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    verdict = quality.verify(target, run_id)
    # A committed run keeps the verdict that it was committed by.
    if not target.is_committed(run_id):
        log.info("verdict: %s", quality.keep(target, verdict))
    for warning in verdict.warnings:
        log.warning("verdict warns: %s", warning)
    if verdict.problems:
        raise DataError(run_id, verdict.problems)
    target.commit(run_id, require=require)
    log.info("commit: readers of %s now see run %s", target.root, target.current_run())
    return verdict.summary()


def _open(lake: str, run_id: str) -> Lake | None:
    """The lake to write the run in; None for a committed run, which never changes again."""
    target = Lake.at(lake)
    if not target.is_committed(run_id):
        return target
    log.info("run %s is committed already: nothing to do", run_id)
    return None
