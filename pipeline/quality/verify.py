"""Judge a run that is in the lake, and keep the verdict beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.errors import LakeError, UsageError
from pipeline.lake import Lake
from pipeline.quality import layers
from pipeline.quality.check import Check, Status
from pipeline.quality.drift import compare, drift_checks
from pipeline.quality.gold import check_gold
from pipeline.quality.limits import Limits, read_limits
from pipeline.quality.page import render
from pipeline.quality.profile import Profile
from pipeline.quality.quarantine import csv_of
from pipeline.quality.verdict import Verdict

__all__ = ["export", "keep", "verify"]

REJECTED_FILE = "quarantine.csv"
_LayerCheck = Callable[[Lake, Verdict, Limits], None]
_LAYERS = {
    "bronze": layers.check_bronze,
    "silver": layers.check_silver,
    "quarantine": layers.check_quarantine,
    "gold": check_gold,
}
_DRIFT = "like the last good run"


def verify(lake: Lake, run_id: str | None = None) -> Verdict:
    """Judge a run, by default the committed one; bad data does not raise.

    UsageError for a lake without a committed run, what is no run id and limits that cannot be read.
    """
    try:
        runs = lake.committed_runs()
    except LakeError as error:
        return _unreadable(run_id or "", str(error))
    if run_id is None and not runs:
        raise UsageError(
            f"The lake at {lake.root} holds no committed run to judge: make one with "
            "`python -m pipeline run`, or correct the URL."
        )
    run_id = run_id or runs[0]
    lake.folder("bronze", run_id)  # refuses what is no run id
    limits = read_limits(lake)
    verdict = Verdict(run_id)
    for layer, check in _LAYERS.items():
        _guard(lake, verdict, limits, layer, check)
    # After a failure these differences are its shadow, and would hide it.
    if not verdict.problems:
        layers.check_conservation(lake, verdict, limits)
        _check_drift(lake, verdict, limits, _before(runs, run_id))
    return verdict


def keep(lake: Lake, verdict: Verdict) -> str:
    """Write the verdict as JSON and as a page into the run's folder; returns the page's path.

    Every rejected row is listed in a CSV beside them.
    """
    folder = lake.folder("verdict", verdict.run_id)
    lake.clear(folder)
    for name, data in _files(lake, verdict, "verdict.html", REJECTED_FILE):
        lake.write(f"{folder}/{name}", data)
    lake.write_json(f"{folder}/verdict.json", verdict.record())
    return f"{folder}/verdict.html"


def export(lake: Lake, verdict: Verdict, page: Path) -> None:
    """Write the page to a local file, and the list of rejected rows beside it when there is one."""
    for name, data in _files(lake, verdict, page.name, f"{page.stem}-{REJECTED_FILE}"):
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.with_name(name).write_bytes(data)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"The page cannot be written to {page}: {reason}.") from error


def _files(lake: Lake, verdict: Verdict, page: str, rejected: str) -> Iterator[tuple[str, bytes]]:
    """The page, and what it links to."""
    yield page, render(verdict, rejected).encode()
    if verdict.quarantine_rows:
        paths = layers.quarantine_files(lake, verdict.run_id)
        yield rejected, b"".join(csv_of(lake, paths))


def _unreadable(run_id: str, why: str) -> Verdict:
    return Verdict(run_id, checks=[Check("lake", "can be read", Status.FAIL, why)])


def _guard(lake: Lake, verdict: Verdict, limits: Limits, layer: str, check: _LayerCheck) -> None:
    try:
        check(lake, verdict, limits)
    # ArrowInvalid is a ValueError; the rest is what a damaged manifest or table can lead to.
    except (LakeError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        text = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
        found = (text.splitlines() or [type(error).__name__])[0]
        cure = "Run again: a run that is not whole is not shown to readers."
        verdict.checks.append(Check(layer, "is there and whole", Status.FAIL, found, cure))


def _before(runs: list[str], run_id: str) -> str | None:
    """The last good run before this one; `runs` are the committed ones, newest first."""
    earlier = runs[runs.index(run_id) + 1 :] if run_id in runs else runs
    return next(iter(earlier), None)


def _check_drift(lake: Lake, verdict: Verdict, limits: Limits, before: str | None) -> None:
    if before is None:
        found = "this is the lake's first run: there is none to compare it with"
        verdict.checks.append(Check("drift", _DRIFT, Status.SKIP, found))
        return
    try:
        record = lake.read_json(f"{lake.folder('verdict', before)}/verdict.json")
        earlier = Profile.from_record(record["silver"])
    except (LakeError, KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"run {before} has no verdict to compare with ({error})"
        cure = "Nothing to do: the next run is compared with this one."
        verdict.checks.append(Check("drift", _DRIFT, Status.WARN, found, cure))
        return
    verdict.compared_with = before
    verdict.drifts = compare(earlier, verdict.profile, limits)
    verdict.checks += drift_checks(verdict.drifts, limits, before)
