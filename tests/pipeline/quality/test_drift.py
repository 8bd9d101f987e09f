"""Drift: how a run differs from the last good one, and which limit that breaks."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.quality.check import Status
from pipeline.quality.drift import Drift, compare, drift_checks
from pipeline.quality.facts import ColumnFacts, Facts
from pipeline.quality.limits import Limit, Limits
from pipeline.quality.profile import Profile


def silver(states: dict[str, int], *, nulls: int = 0, kind: str = "string") -> Profile:
    """Silver with so many rows in each state."""
    rows = sum(states.values())
    columns = {"id": ColumnFacts(["string"]), "phone": ColumnFacts([kind], nulls)}
    counts: Counter[tuple[str | None, str | None, str | None]]
    counts = Counter({("US", state, "micro"): count for state, count in states.items()})
    return Profile(facts=Facts(rows, columns), counts=counts)


USUAL = silver({"Ohio": 60, "Utah": 40}, nulls=10)


def broken(now: Profile, limits: Limits | None = None) -> dict[str, Status]:
    """The limits that a run breaks when the one before was as usual."""
    drifts = compare(USUAL, now, limits or Limits())
    return {drift.limit: drift.status for drift in drifts if drift.status is not Status.PASS}


def test_a_run_like_the_last_one_breaks_no_limit() -> None:
    assert broken(USUAL) == {}


@pytest.mark.parametrize(
    "now, says",
    [
        pytest.param(silver({"Ohio": 59, "Utah": 37}, nulls=9), {}, id="a-few-rows-less"),
        pytest.param(
            silver({"Ohio": 55, "Utah": 35}, nulls=9), {"rows_lost": Status.WARN}, id="rows-lost"
        ),
        pytest.param(
            silver({"Ohio": 9, "Utah": 40}, nulls=5),
            {"rows_lost": Status.FAIL},
            id="most-rows-lost",
        ),
        pytest.param(
            silver({"Ohio": 90, "Utah": 40}, nulls=13),
            {"rows_gained": Status.WARN},
            id="rows-gained",
        ),
        pytest.param(
            silver({"Ohio": 100}, nulls=10), {"partitions_lost": Status.WARN}, id="partition-lost"
        ),
        pytest.param(
            silver({"Ohio": 60, "Utah": 39, "Iowa": 1}, nulls=10),
            {"partitions_gained": Status.WARN},
            id="partition-gained",
        ),
        pytest.param(
            silver({"Ohio": 60, "Utah": 40}, nulls=16), {"nulls_risen": Status.WARN}, id="nulls"
        ),
        pytest.param(
            silver({"Ohio": 60, "Utah": 40}, nulls=100),
            {"nulls_risen": Status.FAIL},
            id="all-of-a-column-null",
        ),
        pytest.param(silver({"Ohio": 60, "Utah": 40}), {}, id="fewer-nulls-are-welcome"),
        pytest.param(
            silver({"Ohio": 60, "Utah": 40}, nulls=10, kind="int64"),
            {"types_changed": Status.WARN},
            id="type-changed",
        ),
        pytest.param(
            silver({}),
            {"rows_lost": Status.FAIL, "partitions_lost": Status.FAIL},
            id="nothing-left",
        ),
    ],
)
def test_each_limit_is_broken_by_its_own_drift(now: Profile, says: dict[str, Status]) -> None:
    assert broken(now) == says


def test_a_lake_sets_what_breaks_a_limit() -> None:
    halved = silver({"Ohio": 30, "Utah": 20}, nulls=5)
    assert broken(halved, Limits(rows_lost=Limit(warn=0.6))) == {}
    assert broken(halved, Limits(rows_lost=Limit(fail=0.1))) == {"rows_lost": Status.FAIL}


def test_the_first_run_with_rows_after_an_empty_one_only_gains() -> None:
    drifts = compare(silver({}), USUAL, Limits())
    worse = {drift.limit for drift in drifts if drift.status is not Status.PASS}
    assert worse == {"rows_gained", "partitions_gained"}


def test_a_check_tells_of_the_column_that_drifted_most() -> None:
    def nulls(name: str, share: float, status: Status) -> Drift:
        return Drift(f"nulls in {name}", "0%", f"{share:.0%}", "up", "nulls_risen", share, status)

    drifts = [nulls("city", 0.1, Status.WARN), nulls("phone", 0.7, Status.FAIL)]
    (check,) = drift_checks(drifts, Limits(), "r1")
    assert check.status is Status.FAIL
    assert check.found == "nulls in phone: 0% in run r1, now 70% (up)"
    assert "nulls_risen in the lake's limits.toml" in check.cure
