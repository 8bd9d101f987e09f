"""The checks of each layer; a layer that cannot be read raises LakeError, which is one more."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from pipeline import bronze
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.quality.check import Check, Status
from pipeline.quality.contracts import QUARANTINE, SILVER
from pipeline.quality.facts import contract_checks, unique_check
from pipeline.quality.limits import Limits
from pipeline.quality.profile import profile
from pipeline.quality.quarantine import rejected
from pipeline.quality.verdict import Verdict
from pipeline.rules import KNOWN_TYPES
from pipeline.silver import read_counts, silver_files

__all__ = ["check_bronze", "check_conservation", "check_quarantine", "check_silver"]

_ANEW = "Run again with another run id: bronze is fetched anew."
_RULE = (
    "Run the silver step again; if it stays so, a cleaning rule is wrong: "
    "look for the column in pipeline/cleaning.py."
)
_READERS = 4


def check_bronze(lake: Lake, verdict: Verdict, limits: Limits) -> None:
    """Pages as they landed, all of them, and as many rows as the source counts."""
    manifest = bronze.read_manifest(lake, verdict.run_id)
    pages = manifest["pages"]
    verdict.bronze_pages = len(pages)
    verdict.bronze_rows = sum(page["rows"] for page in pages)
    folder = lake.folder("bronze", verdict.run_id)
    with ThreadPoolExecutor(_READERS) as readers:
        damaged = [text for text in readers.map(lambda p: _damage(lake, folder, p), pages) if text]
    counts = {
        "row_count": verdict.bronze_rows,
        "page_count": verdict.bronze_pages,
    }
    verdict.checks += [
        Check.of(
            "bronze",
            "every page is as it landed",
            damaged,
            good=f"{len(pages):,} pages match their checksums",
            cure=_ANEW,
        ),
        Check.of(
            "bronze",
            "the manifest counts what landed",
            [
                f"{name} is {manifest[name]} but {count} landed"
                for name, count in counts.items()
                if manifest[name] != count
            ],
            good=f"{verdict.bronze_rows:,} rows in {verdict.bronze_pages:,} pages",
            cure=_ANEW,
        ),
        Check.of(
            "bronze",
            "the source's total landed",
            _total_problems(manifest["source_total"], verdict.bronze_rows),
            good=f"{verdict.bronze_rows:,} rows",
            cure="Run again once the source holds still and has breweries.",
        ),
    ]


def _damage(lake: Lake, folder: str, page: bronze.Landed) -> str:
    path = f"{folder}/{page['path']}"
    try:
        data = lake.read(path)
    except LakeError as error:
        return str(error)
    matches = hashlib.sha256(data).hexdigest() == page["sha256"]
    return "" if matches else f"{path} does not match its checksum"


def _total_problems(total: int, landed: int) -> list[str]:
    if landed == 0:
        return ["the source gave no breweries"]
    if total != landed:
        return [
            f"source_total is {total} but {landed} landed: the source changed while it was read"
        ]
    return []


def check_silver(lake: Lake, verdict: Verdict, limits: Limits) -> None:
    """Silver's contract, and that it holds what cleaning counted."""
    counts = read_counts(lake, verdict.run_id)
    verdict.duplicate_rows = int(counts["duplicate_rows"])
    found = verdict.profile = profile(lake, silver_files(lake, verdict.run_id))
    verdict.silver_rows = found.facts.rows
    types: Counter[str] = Counter()
    for (_, _, kind), count in found.counts.items():
        types[kind or ""] += count
    unknown = {kind: n for kind, n in types.items() if kind and kind not in KNOWN_TYPES}
    verdict.checks += [
        _counted("silver", counts["silver_rows"], verdict.silver_rows, _RULE),
        *contract_checks("silver", SILVER, found.facts, _RULE),
        unique_check("silver", SILVER, found.repeated, _RULE),
        _spellings(found.partitions()),
        limits.check(
            "unknown_types",
            "silver",
            sum(unknown.values()) / max(verdict.silver_rows, 1),
            f"{sum(unknown.values()):,} breweries are of a type that is not known"
            + (f": {', '.join(sorted(unknown)[:5])}" if unknown else ""),
            "Add a type that is real to KNOWN_TYPES in pipeline/rules.py.",
        ),
    ]


def _counted(layer: str, told: int, there: int, cure: str) -> Check:
    wrong = [f"{layer}_rows is {told} but {there} are there"] if told != there else []
    promise = "holds the rows that cleaning counted"
    return Check.of(layer, promise, wrong, good=f"{there:,} rows", cure=cure)


def _spellings(places: Counter[tuple[str | None, str | None]]) -> Check:
    """No state or country that is there twice but for upper and lower case."""
    spelled: dict[tuple[str, str], set[str]] = {}
    for country, state in places:
        shown = "/".join(part or "unknown" for part in (country, state))
        spelled.setdefault(((country or "").lower(), (state or "").lower()), set()).add(shown)
    twice = [" and ".join(sorted(names)) for names in spelled.values() if len(names) > 1]
    return Check.of(
        "silver",
        "a place has one spelling",
        [f"{names} differ in case only" for names in twice],
        good=f"{len(places):,} partitions",
        cure="Add the right spelling to pipeline/places.py; until then these count as two places.",
        # A place that nobody has listed is no reason to keep the others from readers.
        otherwise=Status.WARN,
    )


def check_quarantine(lake: Lake, verdict: Verdict, limits: Limits) -> None:
    """The quarantine's contract, its size, and that a null alone brought nothing there."""
    counts = read_counts(lake, verdict.run_id)
    found = verdict.rejected = rejected(lake, quarantine_files(lake, verdict.run_id))
    verdict.quarantine_rows = found.facts.rows
    share = verdict.quarantine_rows / max(verdict.bronze_rows, 1)
    duplicates = verdict.duplicate_rows / max(verdict.bronze_rows, 1)
    verdict.checks += [
        _counted("quarantine", counts["quarantine_rows"], verdict.quarantine_rows, _RULE),
        *contract_checks("quarantine", QUARANTINE, found.facts, _RULE),
        unique_check("quarantine", QUARANTINE, found.repeated, _RULE),
        Check.of(
            "quarantine",
            "nothing is rejected for a null alone",
            [f"{name} was rejected for a field that is null" for name in found.for_null],
            good=f"{verdict.quarantine_rows:,} rejected rows, each for a value",
            cure=_RULE,
        ),
        limits.check(
            "quarantined",
            "quarantine",
            share,
            f"{verdict.quarantine_rows:,} of {verdict.bronze_rows:,} rows are rejected "
            f"({share:.1%})",
            "The reasons tell which field the source gives otherwise than it did.",
        ),
        limits.check(
            "duplicates",
            "quarantine",
            duplicates,
            f"{verdict.duplicate_rows:,} of {verdict.bronze_rows:,} rows are of an id read before "
            f"({duplicates:.1%})",
            "Its pages may have shifted while they were read: run again.",
        ),
    ]


def quarantine_files(lake: Lake, run_id: str) -> list[str]:
    """The quarantine's Parquet; LakeError when there is none."""
    folder = f"{lake.folder('silver', run_id)}/quarantine"
    paths = lake.files(folder)
    if not paths:
        raise LakeError(f"{folder} is missing from the lake")
    return paths


def check_conservation(lake: Lake, verdict: Verdict, limits: Limits) -> None:
    """Every row of bronze is in silver, in quarantine or a duplicate."""
    parts = (verdict.silver_rows, verdict.quarantine_rows, verdict.duplicate_rows)
    shown = " + ".join(f"{part:,}" for part in parts)
    wrong = [f"bronze has {verdict.bronze_rows:,} rows, {shown} make {sum(parts):,}"]
    verdict.checks.append(
        Check.of(
            "conservation",
            "bronze = silver + quarantine + duplicates",
            wrong if sum(parts) != verdict.bronze_rows else [],
            good=f"{verdict.bronze_rows:,} = {shown}",
            cure=_RULE,
        )
    )
