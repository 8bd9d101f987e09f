"""Runs that meet in one lake: one wins, and the others are told."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.lake import Lake
from pipeline.quality import verify
from tests.brewery_api.breweries import Brewery
from tests.brewery_api.server import BreweryServer
from tests.pipeline.conftest import Serve
from tests.pipeline.processes import Run

pytestmark = pytest.mark.slow


@pytest.fixture(params=["disk", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    disk = request.param == "disk"
    return str(tmp_path) if disk else f"{request.getfixturevalue('bucket')}/lake"


@pytest.mark.parametrize("run_id", ["first", "other"], ids=["same-run-id", "another-run-id"])
def test_a_second_run_is_told_at_once_and_changes_nothing(
    serve: Serve,
    small_rows: list[Brewery],
    url: str,
    run_id: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, other = serve(small_rows), serve(small_rows)
    # The source makes the first run wait in the middle.
    server.too_many_every, server.retry_after = 3, "50"
    lake = Lake.at(url)
    with Run(server.url, lake, "first") as first:
        first.wait_until_it_writes()
        assert main(["run", "--api", other.url, "--lake", url, "--run-id", run_id]) == 4
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1
        assert told[0].startswith("pipeline: Run first is writing this lake (process ")
        assert other.requests == []
    assert (lake.files("silver"), lake.current_run()) == ([], None)


@pytest.mark.timeout(600)
def test_of_runs_that_begin_together_each_is_committed_or_told(
    api: BreweryServer, url: str
) -> None:
    lake = Lake.at(url)
    runs = ["a", "b", "c", "c"]
    with ExitStack() as stack:
        started = [stack.enter_context(Run(api.url, lake, run_id)) for run_id in runs]
        ended = [run.end() for run in started]
    won = {run_id for run_id, (code, _) in zip(runs, ended, strict=True) if code == 0}
    told = [line for code, line in ended if code == 4]
    assert {code for code, _ in ended} <= {0, 4}
    assert won == set(lake.committed_runs()) != set()
    assert all("run" in line.lower() and line.endswith(".") for line in told)
    assert verify(lake).problems == []
