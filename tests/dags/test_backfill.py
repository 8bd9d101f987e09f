"""`airflow backfill create`, as docs/data.md says it: a run a day, and the same bytes again."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.lake import Lake
from tests.brewery_api.breweries import generate
from tests.brewery_api.server import BreweryServer, serving

pytestmark = [pytest.mark.airflow, pytest.mark.soak, pytest.mark.timeout(3000)]

ROOT = Path(__file__).parents[2]
DAYS = ["2024-02-28", "2024-02-29", "2024-03-01"]
AIRFLOW = [sys.executable, "-m", "airflow"]


@contextmanager
def running(home: Path, environ: dict[str, str], part: str, *options: str) -> Iterator[None]:
    """A part of Airflow that runs while the block does, with all that it starts."""
    with (home / f"{part}.log").open("a") as log:
        process = subprocess.Popen(
            [*AIRFLOW, part, *options], env=environ, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def environ(tmp_path: Path, free_tcp_port: int) -> Iterator[dict[str, str]]:
    """The environment of an Airflow that runs the DAG daily, on a source of its own."""
    server = BreweryServer(("127.0.0.1", 0), generate(450, seed=7), too_many_every=0)
    given = {key: value for key, value in os.environ.items() if not key.startswith("BREWERY_")}
    port = free_tcp_port
    with serving(server):
        yield given | {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-only-" * 5,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            # The schedule's own run would meet those of the backfill in the lake.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "BREWERY_API": server.url,
            "BREWERY_LAKE": str(tmp_path / "lake"),
            "PYTHONPATH": str(ROOT),
        }


def call(environ: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [*AIRFLOW, *arguments], env=environ, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr


def ask(home: Path, query: str) -> list[tuple[str, ...]]:
    """What Airflow's database says."""
    with closing(sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True, timeout=60)) as db:
        return list(db.execute(query))


def runs(home: Path) -> list[tuple[str, ...]]:
    """The days and states of all DAG runs."""
    return ask(home, "SELECT substr(logical_date, 1, 10), state FROM dag_run ORDER BY 1")


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1200
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(1)


def backfill(home: Path, environ: dict[str, str], *more: str) -> None:
    """Make the runs of these days, and have them run; SQLite has but one writer at a time."""
    days = ["--from-date", DAYS[0], "--to-date", DAYS[-1], "--max-active-runs", "1"]
    call(environ, "backfill", "create", "--dag-id", "brewery_pipeline", *days, *more)
    assert [day for day, _ in runs(home)] == DAYS
    with running(home, environ, "api-server"):
        # Tasks that cannot reach it yet would fail, and be tried again minutes later.
        wait_until(lambda: answers(int(environ["AIRFLOW__API__PORT"])))
        # Its server of logs would listen on every address.
        with running(home, environ, "scheduler", "--skip-serve-logs"):
            wait_until(lambda: not ask(home, "SELECT 1 FROM backfill WHERE completed_at IS NULL"))
    assert [state for _, state in runs(home)] == ["success"] * len(DAYS)


def contents(lake: Lake, day: str) -> dict[str, bytes]:
    files = [f for layer in ("silver", "gold") for f in lake.files(lake.folder(layer, day))]
    return {file.replace(day, ""): lake.read(file) for file in files}


def test_a_backfill_makes_a_run_a_day_and_again_the_same_bytes(
    environ: dict[str, str], tmp_path: Path
) -> None:
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        call(environ, *command)
    call(environ, "dags", "unpause", "brewery_pipeline")
    lake = Lake.at(environ["BREWERY_LAKE"])

    backfill(tmp_path, environ)
    assert lake.committed_runs() == DAYS[::-1]
    before = {day: contents(lake, day) for day in DAYS}
    assert before[DAYS[0]] == before[DAYS[1]] == before[DAYS[2]] != {}

    pointer = lake.read("current.json")
    backfill(tmp_path, environ, "--reprocess-behavior", "completed")
    assert {day: contents(lake, day) for day in DAYS} == before
    assert lake.read("current.json") == pointer
