"""What a nightly run keeps, and what it says beside the one before."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from ci.errors import UpstreamDown, UsageError
from ci.stages import nightly
from ci.stages.nightly import Good, compared

API = "https://api.example.org"
VERDICT = {
    "lake": {"bronze_rows": 11822, "silver_rows": 11820},
    "steps": {"run": 41.5},
}


def test_a_good_run_is_kept_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "nightly.json"
    good = Good.of(API, VERDICT)
    good.write(path)
    assert Good.read(path, API) == good


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '{"rows": 1}',
        "{",
        '{"https://api.example.org": []}',
        '{"https://api.example.org": {"rows": 1}}',
        '{"https://api.example.org": {"finished": "x", "rows": "1", "silver_rows": 1,'
        ' "seconds": 1}}',
    ],
)
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nightly.json"
    path.write_text(text)
    assert Good.read(path, API) is None


def test_runs_against_different_sources_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "nightly.json"
    Good.of("http://another", VERDICT).write(path)
    assert Good.read(path, API) is None


def test_a_run_against_another_source_takes_nothing_from_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "nightly.json"
    good = Good.of(API, VERDICT)
    good.write(path)
    Good.of("http://another", VERDICT).write(path)
    assert Good.read(path, API) == good


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.2:8000", "[::1]:8000"])
def test_a_source_on_loopback_is_refused_as_containers_have_one_of_their_own(host: str) -> None:
    with pytest.raises(UsageError, match="no container reaches"):
        nightly._require_reachable(f"http://{host}/api")


@pytest.mark.parametrize("api", [API, "http://brewery-api:8000", "http://192.168.1.27:8000"])
def test_a_source_elsewhere_may_be_reached(api: str) -> None:
    nightly._require_reachable(api)


@pytest.mark.parametrize(("rows", "fails"), [(5910, True), (5912, False), (20000, False)])
def test_a_source_that_has_lost_most_of_its_rows_makes_no_good_night(
    rows: int, fails: bool
) -> None:
    before = Good.of(API, VERDICT)
    now = replace(before, rows=rows)
    with pytest.raises(UpstreamDown, match="lost rows: 5,910") if fails else nullcontext():
        nightly._require_as_many(now, before)
    nightly._require_as_many(now, None)


def test_the_first_run_says_that_it_has_nothing_to_compare_with() -> None:
    assert compared(Good.of(API, VERDICT), None) == (
        "11,822 rows, 11,820 in silver, DAG run of 42 s; no earlier run to compare with"
    )


def test_a_run_says_how_it_differs_from_the_last_good_one() -> None:
    now = Good.of(API, VERDICT)
    before = replace(now, finished="2026-01-02 02:10 UTC", rows=12000, seconds=30.0)
    assert compared(now, before).endswith("; -178 rows and +12 s since 2026-01-02 02:10 UTC")
