"""What a run is to fetch is divided evenly, and so are the rate and the pages at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.plan import PageRange, page_ranges, read_plan, share, write_plan
from pipeline.source import Page
from tests.pipeline.landing import plan_of


@pytest.mark.parametrize(
    "total, tasks, ranges",
    [
        pytest.param(0, 4, [(1, 1)], id="nothing-still-reads-page-one"),
        pytest.param(1, 4, [(1, 1)], id="one-row"),
        pytest.param(200, 4, [(1, 1)], id="a-full-page"),
        pytest.param(201, 4, [(1, 1), (2, 2)], id="one-row-more"),
        pytest.param(1000, 2, [(1, 2), (3, 5)], id="uneven"),
        pytest.param(11822, 4, [(1, 15), (16, 30), (31, 45), (46, 60)], id="the-real-set"),
    ],
)
def test_page_ranges(total: int, tasks: int, ranges: list[tuple[int, int]]) -> None:
    planned = page_ranges(total, tasks=tasks)
    assert [(pages["first"], pages["last"]) for pages in planned] == ranges


@given(st.integers(0, 100_000), st.integers(1, 50), st.integers(1, 200))
def test_page_ranges_cover_every_page_once(total: int, tasks: int, per_page: int) -> None:
    planned = page_ranges(total, tasks=tasks, per_page=per_page)
    pages = [n for part in planned for n in range(part["first"], part["last"] + 1)]
    assert pages == list(range(1, max(1, -(-total // per_page)) + 1))
    lengths = [part["last"] - part["first"] for part in planned]
    assert len(planned) <= tasks and max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    "whole, tasks, each",
    [(120, 1, 120), (120, 4, 30), (120, 7, 17), (4, 4, 1), (1, 4, 1), (0, 4, 0)],
)
def test_each_range_gets_its_share(whole: int, tasks: int, each: int) -> None:
    assert share(whole, [PageRange(first=1, last=1)] * tasks) == each


def test_a_plan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    lake, plan = Lake.at(str(tmp_path)), plan_of("r", Page(1, ("{}",)))
    write_plan(lake, plan)
    assert read_plan(lake, "r") == plan


def test_a_plan_that_lacks_a_field_is_a_lake_error(tmp_path: Path) -> None:
    lake = Lake.at(str(tmp_path))
    lake.write_json("bronze/run=r/plan.json", {"run_id": "r", "source": "http://x"})
    with pytest.raises(LakeError, match="plan.json lacks counts, jobs, per_page"):
        read_plan(lake, "r")
