"""Whole runs by `dag.test()`: a real database, API server, lake and mail server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from pipeline.lake import Lake
from tests.brewery_api.breweries import generate
from tests.brewery_api.server import Answer, BreweryServer, serving
from tests.ci.smtp_server import Mailbox, listening

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
ROWS = 450


@dataclass(frozen=True)
class Ran:
    """How a DAG run went: state and last try of each task instance, assets, emails."""

    state: str
    tasks: dict[str, tuple[str, int]]
    assets: dict[str, dict[str, Any]]
    messages: list[Message]


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an Airflow whose database is migrated."""
    home = tmp_path_factory.mktemp("airflow")
    given = {key: value for key, value in os.environ.items() if not key.startswith("BREWERY_")}
    airflow = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=given | airflow, check=True, capture_output=True, timeout=200)
    return given | airflow


@pytest.fixture
def api() -> Iterator[BreweryServer]:
    server = BreweryServer(("127.0.0.1", 0), generate(ROWS, seed=7), too_many_every=0)
    with serving(server):
        yield server


@pytest.fixture
def run(environment: dict[str, str], api: BreweryServer, tmp_path: Path) -> Run:
    """Runs the DAG for a date, writing to the lake `tmp_path/lake`."""

    def run(logical_date: str, **params: str) -> Ran:
        conf = {"api": api.url, "lake": str(tmp_path / "lake"), **params}
        command = [sys.executable, "-m", "tests.dags.run_dag", logical_date, json.dumps(conf)]
        with listening(Mailbox()) as mailbox:
            smtp = f"smtp://127.0.0.1:{mailbox.port}/?from_email=lake%40example.org"
            alerts = {
                "BREWERY_ALERT_TO": "ops@example.org, data@example.org",
                "AIRFLOW_CONN_SMTP_DEFAULT": f"{smtp}&disable_ssl=true&disable_tls=true",
            }
            done = subprocess.run(
                command, env=environment | alerts, capture_output=True, text=True, timeout=200
            )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.splitlines()[-1])
        tasks = {
            name + (f"[{index}]" if index >= 0 else ""): (state, tries)
            for name, index, state, tries in report["tasks"]
        }
        return Ran(report["state"], tasks, report["assets"], mailbox.messages)

    return run


def test_a_run_tries_the_source_again_is_committed_under_its_date_and_changes_the_assets(
    run: Run, api: BreweryServer, tmp_path: Path
) -> None:
    api.faults.append(Answer(403, b"{}"))
    ran = run("2024-05-05T00:00:00+00:00")
    assert ran.state == "success", ran
    assert {state for state, _ in ran.tasks.values()} == {"success"}
    assert (ran.tasks["plan"][1], ran.tasks["extract[0]"][1]) == (2, 1)
    assert Lake.at(str(tmp_path / "lake")).current_run() == "2024-05-05"
    assert set(ran.assets) == {"brewery_bronze", "brewery_silver", "brewery_gold"}
    assert ran.assets["brewery_bronze"] == {"run_id": "2024-05-05", "rows": ROWS}
    assert ran.messages == []

    # The day is there: nothing is asked of the source, nothing changes.
    api.requests.clear()
    again = run("2030-01-01T00:00:00+00:00", date="2024-05-05")
    assert again.state == "success", again
    assert again.tasks["commit"] == ("skipped", 0)
    assert (again.assets, api.requests) == ({}, [])


def test_bad_data_fails_at_once_changes_no_asset_and_is_mailed(
    run: Run, api: BreweryServer, tmp_path: Path
) -> None:
    api.breweries.clear()
    ran = run("2024-05-08T00:00:00+00:00")
    assert ran.state == "failed"
    assert ran.tasks["commit"] == ("failed", 1)
    assert ran.assets == {}
    assert Lake.at(str(tmp_path / "lake")).current_run() is None
    (message,) = ran.messages
    assert message["To"] == "ops@example.org, data@example.org"
    assert message["Subject"].startswith("brewery_pipeline failed: manual__")
    (body,) = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    assert b"Task <b>commit</b> was the first to fail" in bytes(body)


def test_a_run_that_failed_before_its_deadline_can_be_cleared(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.dags.clear_run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "queued 20"
