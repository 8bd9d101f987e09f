"""Pages land as they came, and their manifest tells when they changed since."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import bronze
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.plan import PageRange
from pipeline.source import Page
from tests.pipeline.landing import land, plan_of

LINES = ('{"id": "1", "name": "Br\u2028u"}', "null", '{"id" :  "1"}')
PAGE = Page(1, LINES)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path))


def only_page(lake: Lake) -> Path:
    (page,) = Path(lake.root).rglob("page-*")
    return page


def test_pages_read_back_as_they_came(lake: Lake) -> None:
    land(lake, "r", PAGE, Page(2, ()))
    assert list(bronze.read_pages(lake, "r")) == [(1, list(LINES)), (2, [])]


def test_manifest_says_where_from_how_much_and_when(lake: Lake) -> None:
    land(lake, "r", PAGE, Page(2, LINES[:1]))
    manifest = bronze.read_manifest(lake, "r")
    assert manifest["source"] == "http://x"
    assert (manifest["page_count"], manifest["row_count"], manifest["source_total"]) == (2, 4, 4)
    assert manifest["started_at"] <= manifest["finished_at"]
    assert manifest["readings"] == 1


def test_manifest_waits_for_every_planned_range(lake: Lake) -> None:
    ranges = [PageRange(first=1, last=1), PageRange(first=2, last=2)]
    plan = replace(plan_of("r", PAGE), ranges=ranges)
    bronze.write_receipt(lake, plan, ranges[0], [bronze.land_page(lake, plan, PAGE)])
    with pytest.raises(LakeError, match="receipt-000002-000002.json is missing"):
        bronze.write_manifest(lake, plan)


def test_a_page_that_changed_since_is_refused(lake: Lake) -> None:
    land(lake, "r", PAGE)
    only_page(lake).write_bytes(b"otherwise")
    with pytest.raises(LakeError, match="does not match its checksum"):
        list(bronze.read_pages(lake, "r"))


def test_a_page_that_is_gone_is_refused(lake: Lake) -> None:
    land(lake, "r", PAGE)
    only_page(lake).unlink()
    with pytest.raises(LakeError, match="missing"):
        list(bronze.read_pages(lake, "r"))


def test_equal_pages_give_equal_bytes(lake: Lake) -> None:
    first = bronze.land_page(lake, plan_of("a", PAGE), PAGE)
    assert bronze.land_page(lake, plan_of("b", PAGE), PAGE) == first


def test_a_page_that_landed_before_is_not_written_again(lake: Lake) -> None:
    plan = plan_of("r", PAGE)
    first = bronze.land_page(lake, plan, PAGE)
    only_page(lake).chmod(0o400)
    written = only_page(lake).stat().st_mtime_ns
    assert bronze.land_page(lake, plan, PAGE) == first
    assert only_page(lake).stat().st_mtime_ns == written


def test_other_content_never_takes_a_pages_place(lake: Lake) -> None:
    land(lake, "r", PAGE)
    bronze.land_page(lake, plan_of("r", PAGE), Page(1, LINES[:1]))
    assert list(bronze.read_pages(lake, "r")) == [(1, list(LINES))]


@pytest.mark.parametrize("size", [0, 1, 30])
def test_a_page_cut_short_has_not_landed_and_heals(lake: Lake, size: int) -> None:
    plan = plan_of("r", PAGE)
    landed = bronze.land_page(lake, plan, PAGE)
    only_page(lake).write_bytes(only_page(lake).read_bytes()[:size])
    assert bronze.landed_page(lake, "r", landed["path"]) is None
    assert bronze.land_page(lake, plan, PAGE) == landed
    assert bronze.landed_page(lake, "r", landed["path"]) == landed


@pytest.mark.parametrize(
    "record, known",
    [
        pytest.param({"id": "a-1"}, "a-1", id="text"),
        pytest.param({"id": 7}, None, id="number"),
        pytest.param({"name": "x"}, None, id="no-id"),
        pytest.param(["id"], None, id="no-object"),
        pytest.param({"id": "\ud800"}, None, id="half-a-surrogate"),
        pytest.param({"id": "x" * 10_000_000}, None, id="without-end"),
    ],
)
def test_a_page_knows_its_first_and_last_id_where_they_are_ids(
    lake: Lake, record: object, known: str | None
) -> None:
    page = Page(1, ('{"id": "0"}', json.dumps(record)))
    landed = bronze.land_page(lake, plan_of("r", page), page)
    assert (landed["first_id"], landed["last_id"]) == ("0", known)
    assert bronze.read_page(lake, "r", landed) == list(page.lines)
