"""The verdict on one run: every layer present and readable, and their counts in agreement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import bronze, gold
from pipeline.cleaning import QUARANTINE_SCHEMA, RANGES
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.silver import read_counts, read_quarantine, read_silver

__all__ = ["Verdict", "verify"]


@dataclass(slots=True)
class Verdict:
    """What a run holds and what is wrong with it; no problems means good."""

    run_id: str
    bronze_pages: int = 0
    bronze_rows: int = 0
    silver_rows: int = 0
    quarantine_rows: int = 0
    duplicate_rows: int = 0
    gold_rows: int = 0
    breweries: int = 0
    problems: list[str] = field(default_factory=list)


def verify(lake: Lake, run_id: str | None = None) -> Verdict:
    """Read a whole run, by default the committed one, and judge it; bad data does not raise."""
    if run_id is None:
        return _verify_current(lake)
    lake.folder("bronze", run_id)  # refuses what is no run id
    verdict = Verdict(run_id)
    for check in (_check_bronze, _check_silver, _check_gold):
        _guard(verdict, check, lake)
    if not verdict.problems:
        _check_conservation(verdict)
    return verdict


def _verify_current(lake: Lake) -> Verdict:
    try:
        run_id = lake.current_run()
    except LakeError as error:
        return Verdict("", problems=[str(error)])
    if run_id is None:
        return Verdict("", problems=["the lake holds no committed run: `pipeline run` makes one"])
    return verify(lake, run_id)


def _guard(verdict: Verdict, check: Callable[[Lake, Verdict], None], lake: Lake) -> None:
    try:
        check(lake, verdict)
    # ArrowInvalid is a ValueError; the rest is what a damaged manifest or table can lead to.
    except (LakeError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        layer = check.__name__.removeprefix("_check_")
        verdict.problems.append(f"{layer}: {_sentence(error)}")


def _sentence(error: Exception) -> str:
    text = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
    return text.splitlines()[0] if text else type(error).__name__


def _check_bronze(lake: Lake, verdict: Verdict) -> None:
    manifest = bronze.read_manifest(lake, verdict.run_id)
    for _, lines in bronze.read_pages(lake, verdict.run_id):
        verdict.bronze_pages += 1
        verdict.bronze_rows += len(lines)
    if verdict.bronze_rows == 0:
        verdict.problems.append("bronze: the source gave no breweries")
    for name, count in (
        ("row_count", verdict.bronze_rows),
        ("page_count", verdict.bronze_pages),
        ("source_total", verdict.bronze_rows),
    ):
        if manifest[name] != count:
            verdict.problems.append(
                f"bronze: {name} is {manifest[name]} but {count} landed"
                + (": the source changed while it was read" if name == "source_total" else "")
            )


def _check_silver(lake: Lake, verdict: Verdict) -> None:
    counts = read_counts(lake, verdict.run_id)
    verdict.duplicate_rows = int(counts["duplicate_rows"])
    quarantine = read_quarantine(lake, verdict.run_id)
    verdict.quarantine_rows = quarantine.num_rows
    if not quarantine.schema.equals(QUARANTINE_SCHEMA):
        verdict.problems.append("silver: the quarantine does not have its declared schema")
    table = read_silver(lake, verdict.run_id)
    verdict.silver_rows = table.num_rows
    verdict.problems += _value_problems(table)
    for name, count in (
        ("silver_rows", verdict.silver_rows),
        ("quarantine_rows", verdict.quarantine_rows),
    ):
        if counts[name] != count:
            verdict.problems.append(f"silver: {name} is {counts[name]} but {count} are there")


def _value_problems(table: Any) -> list[str]:
    problems = []
    if pc.count_distinct(table["id"], mode="all").as_py() != table.num_rows:
        problems.append("silver: an id occurs more than once")
    for name, (low, high) in RANGES.items():
        # Null is allowed; what is not a number in range is not, NaN among it.
        inside = pc.and_(pc.greater_equal(table[name], low), pc.less_equal(table[name], high))
        if pc.any(pc.invert(inside)).as_py():
            problems.append(f"silver: a {name} is not within {low:g} to {high:g}")
    return problems


def _check_gold(lake: Lake, verdict: Verdict) -> None:
    for name in gold.TABLES:
        forms = {
            suffix: gold.read_gold(lake, verdict.run_id, name, suffix) for suffix in gold.FORMATS
        }
        rows = forms["parquet"]
        verdict.problems += [
            f"gold: {name}.{suffix} and {name}.parquet differ"
            for suffix, form in forms.items()
            if form != rows
        ]
        verdict.gold_rows += len(rows)
        verdict.breweries = sum(row[gold.COUNT] for row in rows)
        # After another problem the difference is its shadow, and would hide it.
        if verdict.breweries != verdict.silver_rows and not verdict.problems:
            verdict.problems.append(
                f"gold: {name} counts {verdict.breweries} breweries, silver {verdict.silver_rows}"
            )


def _check_conservation(verdict: Verdict) -> None:
    accounted = verdict.silver_rows + verdict.quarantine_rows + verdict.duplicate_rows
    if accounted != verdict.bronze_rows:
        verdict.problems.append(
            f"conservation: bronze has {verdict.bronze_rows} rows, silver, quarantine and "
            f"duplicates together {accounted}"
        )
