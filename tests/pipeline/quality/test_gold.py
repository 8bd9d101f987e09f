"""Gold's forms are read as others would, and told apart when they differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import gold
from pipeline.lake import Lake
from pipeline.quality import Verdict
from pipeline.quality.check import Status
from pipeline.quality.gold import check_gold
from pipeline.quality.limits import Limits
from pipeline.quality.profile import Profile

Row = tuple[str | None, str | None, str | None, str | None]
# Silver lets no control character and no empty text through.
texts = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
PLAIN: list[Row] = [("A", "S", "C", "micro"), ("A", None, "D", "bar"), ("A", None, "D", "bar")]


def written(rows: list[Row]) -> tuple[Lake, Profile]:
    """Gold of those rows in a lake, and the profile of the silver that they are."""
    lake = Lake.at("memory://quality-gold")
    columns = list(zip(*rows, strict=True)) or [()] * 4
    names = ["country", "state", "city", "brewery_type"]
    silver = pa.table([pa.array(column, pa.string()) for column in columns], names=names)
    for table, place in gold.TABLES.items():
        counted = gold.aggregate(gold.count(silver), place)
        for suffix, data in gold.encode(counted).items():
            lake.write(f"gold/run=r/{table}.{suffix}", data)
    profile = Profile()
    for country, state, _, kind in rows:
        profile.counts[country, state, kind] += 1
    return lake, profile


def problems(lake: Lake, profile: Profile) -> list[str]:
    verdict = Verdict("r", profile=profile)
    check_gold(lake, verdict, Limits())
    return [check.found for check in verdict.checks if check.status is Status.FAIL]


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.tuples(texts, texts, texts, texts), max_size=6))
def test_gold_as_it_is_written_has_no_problem_whatever_the_names(rows: list[Row]) -> None:
    assert problems(*written(rows)) == []


def edited(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        rows = json.loads(data)
        return json.dumps(change(rows) or rows).encode()

    return edit


@pytest.mark.parametrize(
    "suffix, change, says",
    [
        ("json", edited(lambda rows: rows.reverse()), "differ"),
        ("json", edited(lambda rows: rows[0].update(breweries=9)), "differ"),
        ("json", edited(lambda rows: rows[0].update(more=1)), "a row has other columns"),
        ("json", edited(lambda rows: rows[0].update(country=1)), "cannot be read"),
        ("json", edited(lambda rows: {"rows": rows}), "cannot be read"),
        ("json", lambda data: data[:-3], "cannot be read"),
        ("csv", lambda data: data.replace(b"bar", b"tap"), "differ"),
        ("csv", lambda data: data.replace(b"country,state", b"state,country"), "differ"),
        ("csv", lambda data: data + b"A,B,C,D,E,F\n", "cannot be read"),
        ("csv", lambda data: data.replace(b",2\n", b",two\n"), "cannot be read"),
        ("csv", lambda data: b"", "cannot be read"),
    ],
)
def test_a_form_that_says_something_else_is_named(
    suffix: str, change: Callable[[bytes], bytes], says: str
) -> None:
    lake, profile = written(PLAIN)
    path = f"gold/run=r/breweries_by_state.{suffix}"
    lake.write(path, change(lake.read(path)))
    (problem,) = problems(lake, profile)
    assert problem.startswith(path) and says in problem


def test_gold_that_counts_otherwise_than_silver_is_found() -> None:
    lake, profile = written(PLAIN)
    profile.counts["A", None, "bar"] = 3
    assert problems(lake, profile) == 2 * [
        "2 breweries are counted of A, unknown, bar, silver has 3"
    ]
