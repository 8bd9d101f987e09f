"""Pages land as they came, and their manifest tells when they changed since."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import bronze
from pipeline.bronze import PageRange
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.source import Page

LINES = ('{"id": "1", "name": "Br\u2028u"}', "null", '{"id" :  "1"}')


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


def land(lake: Lake, *pages: Page, total: int = 3) -> None:
    pages_range = PageRange(first=1, last=len(pages))
    bronze.write_plan(lake, "r", source="http://x", total=total, ranges=[pages_range])
    landed = [bronze.land_page(lake, "r", page) for page in pages]
    bronze.write_receipt(lake, "r", pages_range, landed)


def test_pages_read_back_as_they_came(lake: Lake) -> None:
    land(lake, Page(1, LINES), Page(2, ()))
    bronze.write_manifest(lake, "r")
    assert list(bronze.read_pages(lake, "r")) == [(1, list(LINES)), (2, [])]


def test_manifest_says_where_from_how_much_and_when(lake: Lake) -> None:
    land(lake, Page(1, LINES), Page(2, LINES[:1]), total=4)
    manifest = bronze.write_manifest(lake, "r")
    assert manifest == bronze.read_manifest(lake, "r")
    assert manifest["source"] == "http://x"
    assert (manifest["page_count"], manifest["row_count"], manifest["source_total"]) == (2, 4, 4)
    assert manifest["started_at"] <= manifest["finished_at"]


def test_manifest_waits_for_every_planned_range(lake: Lake) -> None:
    ranges = [PageRange(first=1, last=1), PageRange(first=2, last=2)]
    bronze.write_plan(lake, "r", source="http://x", total=400, ranges=ranges)
    bronze.write_receipt(lake, "r", ranges[0], [bronze.land_page(lake, "r", Page(1, LINES))])
    with pytest.raises(LakeError, match="receipt-000002-000002.json is missing"):
        bronze.write_manifest(lake, "r")


def test_a_page_that_changed_since_is_refused(lake: Lake) -> None:
    land(lake, Page(1, LINES))
    bronze.write_manifest(lake, "r")
    bronze.land_page(lake, "r", Page(1, LINES[:2]))
    with pytest.raises(LakeError, match="does not match its checksum"):
        list(bronze.read_pages(lake, "r"))


def test_a_page_that_is_gone_is_refused(lake: Lake) -> None:
    land(lake, Page(1, LINES))
    bronze.write_manifest(lake, "r")
    lake.clear("bronze/run=r/page-000001.ndjson.zst")
    with pytest.raises(LakeError, match="missing"):
        list(bronze.read_pages(lake, "r"))


def test_equal_pages_give_equal_bytes(lake: Lake) -> None:
    first = bronze.land_page(lake, "a", Page(1, LINES))
    assert bronze.land_page(lake, "b", Page(1, LINES)) == first


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
    planned = bronze.page_ranges(total, tasks=tasks)
    assert [(pages["first"], pages["last"]) for pages in planned] == ranges


@given(st.integers(0, 100_000), st.integers(1, 50), st.integers(1, 200))
def test_page_ranges_cover_every_page_once(total: int, tasks: int, per_page: int) -> None:
    planned = bronze.page_ranges(total, tasks=tasks, per_page=per_page)
    pages = [n for part in planned for n in range(part["first"], part["last"] + 1)]
    assert pages == list(range(1, max(1, -(-total // per_page)) + 1))
    lengths = [part["last"] - part["first"] for part in planned]
    assert len(planned) <= tasks and max(lengths) - min(lengths) <= 1
