"""The DAG imports without errors or work, and is wired as the data flows."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dags.lake_run import run_id
from pipeline.errors import (
    ConflictError,
    DataError,
    LakeError,
    StorageError,
    UpstreamError,
    UsageError,
)

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
FILE = ROOT / "dags/brewery_pipeline.py"
UPSTREAM = {
    "plan": set(),
    "extract": {"plan"},
    "manifest": {"extract"},
    "clean": {"manifest"},
    "buckets": {"manifest"},
    "merge": {"clean", "buckets"},
    "gold": {"merge"},
    "commit": {"gold"},
}

# Runs in a process of its own, where nothing else has imported pipeline or pyarrow. The time is the
# processor's, which other work on the machine leaves alone; Airflow has been imported before, and
# a first DAG has made it import what it needs for any.
IMPORT_AND_REPORT = """
import json, runpy, sys, time
from airflow.sdk import dag, task
@dag
def first():
    @task
    def nothing(): ...
    nothing()
first()
acts = []
def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event in ("socket.connect", "subprocess.Popen", "os.mkdir", "os.remove"):
        acts.append([event, str(args[0])])
before = set(sys.modules)
sys.dont_write_bytecode = True
# Once unwatched: what Airflow itself does for the first DAG does not count.
began = time.process_time()
runpy.run_path(sys.argv[1])
seconds = time.process_time() - began
sys.addaudithook(watch)
runpy.run_path(sys.argv[1])
imported = {name.split(".")[0] for name in set(sys.modules) - before}
heavy = imported & {"pyarrow", "numpy", "duckdb", "fsspec", "s3fs", "httpx", "aiosmtplib"}
print(json.dumps({"acts": acts, "heavy": sorted(heavy), "seconds": seconds}))
"""


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Any:
    """The DAG as Airflow loads it, with no import error, under this environment alone."""
    from airflow.dag_processing.dagbag import DagBag

    for name in ("BREWERY_API", "BREWERY_LAKE", "BREWERY_SCHEDULE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bag = DagBag(FILE)
    assert bag.import_errors == {}
    assert list(bag.dags) == ["brewery_pipeline"]
    return bag.dags["brewery_pipeline"]


@pytest.fixture(scope="module")
def dag() -> Iterator[Any]:
    """The DAG where nothing is set; do not change it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load(monkeypatch)


def test_tasks_follow_one_another_as_the_data_flows(dag: Any) -> None:
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == UPSTREAM
    dag.check_cycle()


def test_what_grows_with_the_data_is_mapped(dag: Any) -> None:
    assert {task.task_id for task in dag.tasks if task.is_mapped} == {"extract", "clean", "merge"}


def test_every_task_has_an_owner_retries_and_docs(dag: Any) -> None:
    for task in dag.tasks:
        assert (task.owner, task.retries) == ("data-engineering", 3)
        assert task.doc_md, task.task_id


@pytest.mark.parametrize(
    ("error", "action"),
    [
        pytest.param(UpstreamError("http://x", "it answered 503"), "retry", id="upstream"),
        pytest.param(StorageError("no space left"), "retry", id="disk"),
        pytest.param(ConnectionRefusedError("lake"), "retry", id="network"),
        pytest.param(ConflictError("another run is writing"), "fail", id="conflict"),
        pytest.param(DataError("run", ["no rows"]), "fail", id="data"),
        pytest.param(LakeError("damaged"), "fail", id="damaged lake"),
        pytest.param(UsageError("no lake"), "fail", id="usage"),
        pytest.param(KeyError("typo"), "fail", id="bug"),
    ],
)
def test_only_what_may_pass_is_tried_again(dag: Any, error: Exception, action: str) -> None:
    for task in dag.tasks:
        decision = task.retry_policy.evaluate(error, 1, 3)
        assert decision.action.value == action


def test_runs_do_not_overlap_or_catch_up_and_are_documented(
    dag: Any,
) -> None:
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.tags == {"brewery", "lakehouse"}
    assert "quarantine" in dag.doc_md


@pytest.mark.parametrize("value", ["", "none", "None"])
def test_schedule_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert load(monkeypatch, BREWERY_SCHEDULE=value).schedule is None


def test_schedule_is_daily_unless_set(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dag.schedule == "@daily"
    assert load(monkeypatch, BREWERY_SCHEDULE="0 2 * * *").schedule == "0 2 * * *"


def test_params_can_be_left_out(dag: Any) -> None:
    params = dag.params
    given = {"date": None, "api": None, "lake": None, "rate": 120, "tasks": 4}
    assert {name: params[name] for name in params} == given
    params.validate()


def test_a_date_that_is_none_is_refused(dag: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dag.params)
    with pytest.raises(ParamValidationError, match="2024-02-30"):
        params["date"] = "2024-02-30"


@pytest.mark.parametrize(
    ("asked", "logical", "expected"),
    [
        pytest.param("2020-02-29", "2024-05-05T00:00:00+00:00", "2020-02-29", id="asked for"),
        pytest.param(None, "2024-05-05T00:00:00+00:00", "2024-05-05", id="day"),
        pytest.param(None, "2024-05-05T02:00:00+02:00", "2024-05-05", id="another time zone"),
        pytest.param(None, "2024-05-05T10:20:30+00:00", "2024-05-05T102030.000000Z", id="time"),
        pytest.param(None, None, "manual--f0075fd5", id="no date"),
    ],
)
def test_a_date_names_the_run_in_the_lake(
    asked: str | None, logical: str | None, expected: str
) -> None:
    context = {
        "params": {"date": asked},
        "logical_date": datetime.fromisoformat(logical) if logical else None,
        "run_id": "manual+",
    }
    assert run_id(context) == expected


def test_the_deadline_is_twenty_minutes_after_queueing(dag: Any) -> None:
    from airflow.serialization.encoders import ensure_serialized_deadline_alert

    (deadline,) = dag.deadline
    assert ensure_serialized_deadline_alert(deadline).interval == timedelta(minutes=20)
    assert deadline.reference.reference_name == "DagRunQueuedAtDeadline"
    assert deadline.callback.path == "dags.failures.run_late"


@pytest.mark.slow
def test_import_does_no_work_and_takes_less_than_half_a_second_beyond_that_of_airflow(
    tmp_path: Path,
) -> None:
    # Whatever else a machine does can only make it slower.
    reports = [_imported(tmp_path) for _ in range(3)]
    assert min(report.pop("seconds") for report in reports) < 0.5
    assert reports == [{"acts": [], "heavy": []}] * 3


def _imported(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_REPORT, str(FILE)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=200,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def test_the_file_is_wiring_only() -> None:
    assert len(FILE.read_text().splitlines()) < 80
