"""How a run differs from the last good one: rows, partitions, types and nulls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.quality.check import Check, Status
from pipeline.quality.limits import Limits
from pipeline.quality.profile import Place, Profile

__all__ = ["Drift", "compare", "drift_checks"]


@dataclass(frozen=True, slots=True)
class Drift:
    """One measure in the last good run and in this one; `limit` names what judges `share`."""

    measure: str
    before: str
    now: str
    change: str
    limit: str
    share: float
    status: Status


def compare(before: Profile, now: Profile, limits: Limits) -> list[Drift]:
    """Every measure, as it was and as it is."""
    return [
        *_rows(before.facts.rows, now.facts.rows, limits),
        *_partitions(before, now, limits),
        *_types(before, now, limits),
        *_nulls(before, now, limits),
    ]


def drift_checks(drifts: list[Drift], limits: Limits, since: str) -> list[Check]:
    """One check for each limit, which says what broke it worst."""
    return [
        limits.check(
            name,
            "drift",
            worst.share,
            f"{worst.measure}: {worst.before} in run {since}, now {worst.now} ({worst.change})",
            "Compare the two runs' bronze, then run again once the source is whole.",
        )
        for name in dict.fromkeys(drift.limit for drift in drifts)
        for worst in [max((d for d in drifts if d.limit == name), key=lambda d: d.share)]
    ]


def _rows(before: int, now: int, limits: Limits) -> Iterator[Drift]:
    grown = (now - before) / max(before, 1)
    for limit, share in (("rows_lost", -grown), ("rows_gained", grown)):
        if share > 0 or (limit == "rows_lost" and share == 0):
            status = getattr(limits, limit).judge(share)
            yield Drift("rows", f"{before:,}", f"{now:,}", f"{grown:+.1%}", limit, share, status)


def _partitions(before: Profile, now: Profile, limits: Limits) -> Iterator[Drift]:
    old, new = before.partitions(), now.partitions()
    for limit, gone, sign in (
        ("partitions_lost", old.keys() - new.keys(), "-"),
        ("partitions_gained", new.keys() - old.keys(), "+"),
    ):
        share = len(gone) / max(len(old), 1)
        change = f"{sign}{len(gone):,}" + (f": {_named(gone)}" if gone else "")
        status = getattr(limits, limit).judge(share)
        words = limit.replace("_", " ")
        yield Drift(words, f"{len(old):,}", f"{len(new):,}", change, limit, share, status)


def _named(places: set[Place]) -> str:
    names = sorted("/".join(part or "unknown" for part in place) for place in places)
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _types(before: Profile, now: Profile, limits: Limits) -> Iterator[Drift]:
    old, new = before.facts.columns, now.facts.columns
    changed = []
    for name in dict.fromkeys([*old, *new]):
        was, is_ = (" and ".join(c[name].types) if name in c else "absent" for c in (old, new))
        if was != is_:
            changed.append((name, was, is_))
    # A run without rows has no types to compare.
    changed = changed if before.facts.rows and now.facts.rows else []
    share = len(changed) / max(len(old), 1)
    status = limits.types_changed.judge(share)
    for name, was, is_ in changed:
        yield Drift(f"type of {name}", was, is_, "changed", "types_changed", share, status)
    if not changed:
        columns = f"{len(old):,}", f"{len(new):,}"
        yield Drift("columns", *columns, "the same types", "types_changed", share, status)


def _nulls(before: Profile, now: Profile, limits: Limits) -> Iterator[Drift]:
    for name, column in now.facts.columns.items():
        if name not in before.facts.columns or not (before.facts.rows and now.facts.rows):
            continue
        was = before.facts.columns[name].nulls / before.facts.rows
        is_ = column.nulls / now.facts.rows
        status = limits.nulls_risen.judge(is_ - was)
        share = is_ - was
        # Added to nothing, so that none is "-0.0".
        change = f"{round(100 * share, 1) + 0.0:+.1f} points"
        yield Drift(
            f"nulls in {name}", f"{was:.1%}", f"{is_:.1%}", change, "nulls_risen", share, status
        )
