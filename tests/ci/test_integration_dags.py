"""The check of DAG files that the driver makes: true files, read by Airflow itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dag_check import DagCheck
from tests.integration.verdict import Cause, Failed

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.airflow

GOOD = """
from airflow.sdk import dag, task
@dag(tags=["t"], default_args={"owner": "o", "retries": 1})
def good():
    @task
    def a(): ...
    @task
    def b(): ...
    a() >> b()
good()
"""
BROKEN = {
    "nothing_such.py": "import nothing_such",
    "circle.py": GOOD.replace("a() >> b()", "x, y = a(), b(); x >> y >> x"),
    "writes.py": GOOD.replace("good", "writes") + "open(__file__ + '.made', 'w').close()\n",
    "bare.py": GOOD.replace("good", "bare").replace('tags=["t"], ', "").replace('"retries": 1', ""),
}


def checked(folder: Path, logs: Path, wanted: str = "good") -> dict[str, Any]:
    with DagCheck.begun(str(folder), logs) as check:
        return check.result(wanted, 100)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.mark.slow
def test_our_dags_are_whole_and_do_no_work_at_import(tmp_path: Path) -> None:
    dags = checked(ROOT / "dags", tmp_path, "brewery_pipeline")
    pipeline = dags["brewery_pipeline"]
    assert (pipeline["owners"], pipeline["tags"]) == (
        ["data-engineering"],
        ["brewery", "lakehouse"],
    )
    assert pipeline["tasks"]["gold"] == {"retries": 3, "then": ["commit"]}


@pytest.mark.slow
def test_a_dag_that_no_file_defines_is_missed(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "good.py").write_text(GOOD)
    with pytest.raises(Failed, match="No file of the DAGs folder defines bad"):
        checked(folder, tmp_path, "bad")


@pytest.mark.slow
def test_every_problem_of_every_file_is_found_whatever_safe_mode_would_skip(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    for name, text in {"good.py": GOOD, **BROKEN}.items():
        (folder / name).write_text(text)
    with pytest.raises(Failed) as caught:
        checked(folder, tmp_path)
    assert caught.value.cause is Cause.CODE
    assert caught.value.message == "bare.py: DAG bare has no tags (5 more problems)"
    log = (tmp_path / "dag-files.log").read_text()
    for problem in (
        "bare.py: DAG bare does not try its task b again",
        "circle.py cannot be imported: AirflowDagCycleException",
        "nothing_such.py cannot be imported: ModuleNotFoundError: No module named 'nothing_such'",
        "writes.py does work when it is imported: open ",
    ):
        assert problem in log
    assert "good.py:" not in log


def test_a_check_that_breaks_is_told_with_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failed, match="Reading the DAG files ended with status 1") as caught:
        checked(tmp_path, tmp_path)
    assert "No module named" in caught.value.lines[-1]


def test_a_check_that_hangs_is_ended(tmp_path: Path) -> None:
    with DagCheck.begun(str(ROOT / "dags"), tmp_path) as check:
        with pytest.raises(Failed, match="not read within 0 s"):
            check.result("good", 0)
    assert check.process.returncode == -9
