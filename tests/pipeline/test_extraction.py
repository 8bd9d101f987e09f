"""Extraction against a real server: polite, resumed where it stopped, and whole if it says so."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline import bronze, steps
from pipeline.errors import UpstreamError, UsageError
from pipeline.lake import Lake
from pipeline.plan import read_plan
from pipeline.rate import shared_limit
from tests.brewery_api.breweries import Brewery
from tests.brewery_api.faults import FAULTS
from tests.brewery_api.server import Answer, BreweryServer
from tests.pipeline.conftest import SMALL, Serve

# Its meta data, three pages, and its meta data again.
WHOLE = 5
# Alike but for how the pages are divided: enough for the long run.
ONE_TASK = pytest.param(1, marks=pytest.mark.slow)


@pytest.fixture
def server(serve: Serve, small_rows: list[Brewery]) -> BreweryServer:
    """Rows whose ids come once and in order, so that nothing has to be read twice."""
    rows = [row | {"id": f"{number:04d}"} for number, row in enumerate(small_rows)]
    return serve(rows)


def extract(server: BreweryServer, lake: Path, *, tasks: int = 1, jobs: int = 1) -> dict[str, Any]:
    """Extraction as far as the manifest, which is returned."""
    at = {"lake": str(lake), "run_id": "r"}
    for pages in steps.plan(
        api=server.url, lake=str(lake), run_id="r", tasks=tasks, rate=0, jobs=jobs
    ):
        steps.extract(**pages, **at)
    steps.manifest(**at)
    return bronze.read_manifest(Lake.at(str(lake)), "r")


def ids(lake: Path) -> list[str]:
    pages = bronze.read_pages(Lake.at(str(lake)), "r")
    return [json.loads(line)["id"] for _, lines in pages for line in lines]


def served(server: BreweryServer) -> list[str]:
    return [row["id"] for row in server.sorted("id")]


@contextmanager
def counted(server: BreweryServer) -> Iterator[list[str]]:
    """The requests that the block makes."""
    before, made = len(server.requests), list[str]()
    yield made
    made += server.requests[before:]


@pytest.mark.parametrize("tasks, jobs", [(1, 1), (1, 4), (3, 4), (50, 50)])
def test_every_page_is_asked_for_once_and_the_counts_twice(
    server: BreweryServer, tmp_path: Path, tasks: int, jobs: int
) -> None:
    manifest = extract(server, tmp_path, tasks=tasks, jobs=jobs)
    assert len(server.requests) == WHOLE
    assert (manifest["row_count"], manifest["readings"]) == (SMALL, 1)
    assert ids(tmp_path) == served(server)


def test_no_more_pages_than_jobs_are_fetched_at_once(
    serve: Serve, small_rows: list[Brewery], tmp_path: Path
) -> None:
    server = serve([row | {"id": f"{n:04d}"} for n, row in enumerate(small_rows * 5)])
    lock, busy, seen = threading.Lock(), [0], [0]

    def watch(_: BreweryServer, answer: Answer) -> Answer:
        with lock:
            busy[0] += 1
            seen.append(busy[0])
        time.sleep(0.05)
        with lock:
            busy[0] -= 1
        return answer

    server.spoilt.append((1, watch))
    extract(server, tmp_path, jobs=3)
    assert max(seen) == 3


def test_a_run_keeps_to_its_rate_from_plan_to_manifest(
    server: BreweryServer, tmp_path: Path
) -> None:
    steps.run(api=server.url, lake=str(tmp_path), run_id="r", rate=WHOLE)
    assert len(server.requests) == WHOLE
    assert shared_limit(server.url, WHOLE, part=0).take() > 30


def test_ranges_that_others_may_read_share_the_rate(server: BreweryServer, tmp_path: Path) -> None:
    at = {"lake": str(tmp_path), "run_id": "r"}
    for pages in steps.plan(api=server.url, lake=str(tmp_path), run_id="r", tasks=3, rate=6):
        steps.extract(**pages, **at)
        limit = shared_limit(server.url, 2, part=pages["first"])
        assert [limit.take() > 0 for _ in range(2)] == [False, True]


@pytest.mark.parametrize("jobs", [1, 4])
def test_pages_that_landed_are_not_fetched_again(
    server: BreweryServer, tmp_path: Path, jobs: int
) -> None:
    server.spoilt.append((4, lambda *_: Answer(404, b"")))
    with pytest.raises(UpstreamError, match="answered 404"):
        extract(server, tmp_path, jobs=jobs)
    server.spoilt.clear()
    landed = len(list(tmp_path.rglob("page-*")))
    with counted(server) as requests:
        extract(server, tmp_path, jobs=jobs)
    assert len(requests) == 3 - landed + 1
    assert ids(tmp_path) == served(server)


def test_an_extraction_that_ended_asks_nothing_when_it_is_tried_again(
    server: BreweryServer, tmp_path: Path
) -> None:
    extract(server, tmp_path, tasks=2)
    with counted(server) as requests:
        extract(server, tmp_path, tasks=2)
    assert requests == []


@pytest.mark.slow
def test_pages_that_landed_in_a_bucket_are_not_fetched_again(
    server: BreweryServer, bucket: str
) -> None:
    at = {"lake": f"{bucket}/lake", "run_id": "r"}
    for expected in (WHOLE - 1, 0):
        with counted(server) as requests:
            for pages in steps.plan(api=server.url, lake=at["lake"], run_id="r"):
                steps.extract(**pages, **at)
        assert len(requests) == expected
    assert steps.manifest(**at) == {"pages": 3, "rows": SMALL}


@pytest.mark.parametrize("receipt", ["kept", "lost"])
def test_only_a_page_that_is_damaged_is_fetched_again(
    server: BreweryServer, tmp_path: Path, receipt: str
) -> None:
    at = {"lake": str(tmp_path), "run_id": "r"}
    (pages,) = steps.plan(api=server.url, lake=str(tmp_path), run_id="r", tasks=1)
    steps.extract(**pages, **at)
    damaged = sorted(tmp_path.rglob("page-*"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    if receipt == "lost":
        next(tmp_path.rglob("receipt-*")).unlink()
    with counted(server) as requests:
        steps.extract(**pages, **at)
    assert [request.split("&")[0] for request in requests] == ["/v1/breweries?page=2"]
    steps.manifest(**at)
    assert ids(tmp_path) == served(server)


def test_a_run_goes_on_only_from_the_source_that_it_was_begun_from(
    server: BreweryServer, serve: Serve, tmp_path: Path
) -> None:
    steps.plan(api=server.url, lake=str(tmp_path), run_id="r")
    with pytest.raises(UsageError, match=f"begun from {server.url}"):
        steps.plan(api=serve([]).url, lake=str(tmp_path), run_id="r")


def test_a_run_that_goes_on_may_do_so_at_another_rate(
    server: BreweryServer, tmp_path: Path
) -> None:
    lake = str(tmp_path)
    first = steps.plan(api=server.url, lake=lake, run_id="r", tasks=2, rate=10, jobs=2)
    assert steps.plan(api=server.url, lake=lake, run_id="r", tasks=3, rate=20, jobs=8) == first
    plan = read_plan(Lake.at(lake), "r")
    assert (plan.rate, plan.jobs) == (20, 8)


def test_bronze_that_is_sealed_never_changes(server: BreweryServer, tmp_path: Path) -> None:
    manifest = extract(server, tmp_path)
    server.change(server.breweries[:5])
    with counted(server) as requests:
        assert extract(server, tmp_path) == manifest
    assert requests == []


def add_first(server: BreweryServer) -> None:
    server.change([server.breweries[0] | {"id": "!"}, *server.breweries])


def add_last(server: BreweryServer) -> None:
    server.change([*server.breweries, server.breweries[0] | {"id": "~"}])


def take_first(server: BreweryServer) -> None:
    server.change(server.breweries[1:])


def take_first_and_add_last(server: BreweryServer) -> None:
    # As many as before: only where they are tells.
    new = server.breweries[0] | {"id": "~", "state_province": "Elsewhere"}
    server.change([*server.breweries[1:], new])


def take_all_but_a_few(server: BreweryServer) -> None:
    server.change(server.breweries[:7])


@pytest.mark.parametrize("request_number", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "change", [add_first, add_last, take_first, take_first_and_add_last, take_all_but_a_few]
)
@pytest.mark.parametrize("tasks", [ONE_TASK, 3])
def test_a_source_that_changes_while_it_is_read_is_read_again(
    server: BreweryServer,
    tmp_path: Path,
    change: Callable[[BreweryServer], None],
    request_number: int,
    tasks: int,
) -> None:
    server.before[request_number] = partial(change, server)
    manifest = extract(server, tmp_path, tasks=tasks)
    assert ids(tmp_path) == served(server)
    assert (manifest["source_total"], manifest["readings"]) == (len(server.breweries), 2)


def test_a_shift_that_no_count_shows_is_seen_where_an_id_comes_twice(
    server: BreweryServer, tmp_path: Path
) -> None:
    last = server.breweries[-1]

    def add_first_and_take_last() -> None:
        server.change([last | {"id": "!"}, *server.breweries[:-1]])

    server.before[3] = add_first_and_take_last
    manifest = extract(server, tmp_path)
    assert ids(tmp_path) == served(server)
    assert manifest["readings"] == 2


def test_ids_that_the_source_itself_holds_twice_are_no_shift(
    server: BreweryServer, tmp_path: Path
) -> None:
    rows = server.breweries
    server.change([*rows[:200], rows[199] | {"name": "again"}, *rows[200:-1]])
    manifest = extract(server, tmp_path)
    assert (manifest["readings"], manifest["row_count"]) == (1, SMALL)
    # The two pages beside that border were asked for once more.
    assert len(server.requests) == WHOLE + 2


def test_an_order_of_the_sources_own_is_taken_if_it_stays(
    server: BreweryServer, tmp_path: Path
) -> None:
    rows = random.Random(1).sample(server.breweries, SMALL)
    server.sorted = lambda _: rows
    assert extract(server, tmp_path)["readings"] == 1
    assert sorted(ids(tmp_path)) == sorted(row["id"] for row in rows)


def test_a_row_that_moved_within_pages_shows_by_its_place(
    server: BreweryServer, tmp_path: Path
) -> None:
    rows, moved = list(server.breweries), list(server.breweries)
    moved[50], moved[250] = rows[250], rows[50]
    pages = itertools.count(1)
    # Page 1 comes from before the move, page 2 from during it.
    server.sorted = lambda _: moved if next(pages) == 2 else rows
    assert extract(server, tmp_path)["readings"] == 2
    assert ids(tmp_path) == [row["id"] for row in rows]


def test_an_order_that_does_not_stay_is_an_upstream_error(
    server: BreweryServer, tmp_path: Path
) -> None:
    server.sorted = lambda _: random.sample(server.breweries, SMALL)
    with pytest.raises(UpstreamError, match=r"gave page \d otherwise .* 3 times in a row"):
        extract(server, tmp_path)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_source_that_never_stands_still_is_an_upstream_error(
    server: BreweryServer, lake: Path, jobs: int
) -> None:
    server.spoilt.append((2, FAULTS["shift"]))
    with pytest.raises(UpstreamError, match="changed while it was read, from .* 3 times in a row"):
        steps.run(api=server.url, lake=str(lake), run_id="bad", jobs=jobs)
    assert len(server.requests) < 4 * WHOLE
    assert Lake.at(str(lake)).current_run() == "good"


@pytest.mark.parametrize(
    "total, says",
    [
        pytest.param(10**9, f"counts 1000000000 breweries but gave {SMALL}", id="far-too-many"),
        pytest.param(SMALL + 1, f"counts 451 breweries but gave {SMALL}", id="one-too-many"),
        pytest.param(SMALL - 1, f"counts 449 breweries but gave {SMALL}", id="one-too-few"),
        pytest.param(400, "counts 400 breweries but goes on with page 3", id="a-page-too-few"),
        pytest.param(0, "counts 0 breweries but gave 200", id="none"),
    ],
)
@pytest.mark.parametrize("tasks", [ONE_TASK, 4])
def test_a_total_that_lies_is_an_upstream_error_soon(
    server: BreweryServer, tmp_path: Path, total: int, says: str, tasks: int
) -> None:
    server.total = total
    with pytest.raises(UpstreamError, match=f"{says}, 3 times in a row"):
        extract(server, tmp_path, tasks=tasks, jobs=4)
    assert len(server.requests) < 40


def test_a_last_page_that_is_full_is_followed_by_none(
    server: BreweryServer, tmp_path: Path
) -> None:
    server.change(server.breweries[:400])
    assert extract(server, tmp_path)["page_count"] == 2
    assert [request.split("&")[0][-1] for request in server.requests if "page=" in request] == [
        "1",
        "2",
        "3",
    ]


def test_a_reading_again_that_was_cut_off_goes_on_where_it_stopped(
    server: BreweryServer, tmp_path: Path
) -> None:
    server.before[3] = partial(add_first, server)
    server.before[8] = partial(server.spoilt.append, (1, lambda *_: Answer(404, b"")))
    with pytest.raises(UpstreamError, match=r"\(page 3\): it answered 404"):
        extract(server, tmp_path)
    server.spoilt.clear()
    with counted(server) as requests:
        steps.manifest(lake=str(tmp_path), run_id="r")
    assert [request.split("?")[-1].split("&")[0] for request in requests] == [
        "page=3",
        "/v1/breweries/meta",
    ]
    assert ids(tmp_path) == served(server)


def test_an_empty_source_lands_one_empty_page(serve: Serve, tmp_path: Path) -> None:
    manifest = extract(serve([]), tmp_path)
    assert (manifest["page_count"], manifest["row_count"]) == (1, 0)


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"shift", "slow", "drip", "empty"}))
def test_faults_now_and_then_are_overcome(
    server: BreweryServer, tmp_path: Path, fault: str
) -> None:
    server.spoilt.append((3, FAULTS[fault]))
    extract(server, tmp_path, jobs=4)
    assert ids(tmp_path) == served(server)


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("body", [b"[]", b'[{"id": "0000"}]'], ids=["empty", "short"])
def test_a_page_that_lacked_rows_once_is_read_again(
    server: BreweryServer, tmp_path: Path, page: int, body: bytes
) -> None:
    def spoil_once(*_: object) -> Answer:
        server.spoilt.clear()
        return Answer(200, body)

    server.spoilt.append((page + 1, spoil_once))
    assert extract(server, tmp_path)["readings"] == 2
    assert ids(tmp_path) == served(server)
