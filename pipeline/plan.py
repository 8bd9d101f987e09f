"""What a run set out to fetch, kept in the lake: extractions and the manifest go by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict

from pipeline.errors import LakeError
from pipeline.lake import Lake, utc_now
from pipeline.source import MAX_PER_PAGE

__all__ = ["PageRange", "Plan", "page_ranges", "read_fields", "read_plan", "share", "write_plan"]


class PageRange(TypedDict):
    """Pages `first` to `last`, both included, counted from 1."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one reading of the source is to fetch; a source that shifted is read again by another.

    `rate` (requests a minute, 0: no limit) and `jobs` (pages at once) are the whole run's: the
    `ranges`, which may be read by processes of their own, share them.
    """

    run_id: str
    source: str
    total: int
    counts: str
    ranges: list[PageRange]
    rate: int
    jobs: int
    per_page: int = MAX_PER_PAGE
    reading: int = 1
    started_at: str = field(default_factory=utc_now)


def page_ranges(total: int, *, tasks: int, per_page: int = MAX_PER_PAGE) -> list[PageRange]:
    """At most `tasks` ranges of nearly equal length that cover all pages, at least page 1."""
    pages = max(1, -(-total // per_page))
    count = min(tasks, pages)
    bounds = [1 + pages * index // count for index in range(count + 1)]
    return [PageRange(first=a, last=b - 1) for a, b in zip(bounds, bounds[1:], strict=False)]


def share(whole: int, ranges: list[PageRange]) -> int:
    """What each range gets of the run's rate or jobs, at least 1; 0, no limit, stays 0."""
    return max(1, whole // len(ranges)) if whole else 0


def write_plan(lake: Lake, plan: Plan) -> None:
    lake.write_json(_path(lake, plan.run_id), dataclasses.asdict(plan))


def read_plan(lake: Lake, run_id: str) -> Plan:
    """The run's plan; LakeError when it is missing or lacks what a plan holds."""
    names = [item.name for item in dataclasses.fields(Plan)]
    values = read_fields(lake, _path(lake, run_id), names)
    return Plan(**{name: values[name] for name in names})


def read_fields(lake: Lake, path: str, fields: Iterable[str]) -> dict[str, Any]:
    """A JSON object of the lake; LakeError when it is missing, damaged or lacks a field."""
    value = lake.read_json(path)
    lacking = set(fields) - set(value)
    if lacking:
        raise LakeError(f"{path} lacks {', '.join(sorted(lacking))}")
    return value


def _path(lake: Lake, run_id: str) -> str:
    return f"{lake.folder('bronze', run_id)}/plan.json"
