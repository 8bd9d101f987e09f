"""The integration stage for real: the image, the stack and the DAG on the embedded engine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TESTED = ("ci", "engine", "images", "pipeline", "dags", "tests", "requirements")
FILES = ("Dockerfile", ".dockerignore", "compose.yaml", "pyproject.toml", "README.md", "LICENSE")

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Ran:
    """One run of the command line: its exit code, what it said, and its record."""

    status: int
    output: str
    stage: dict[str, Any]
    report: Path

    @property
    def verdict(self) -> dict[str, Any]:
        return dict(json.loads((self.report / "integration/verdict.json").read_text()))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    copy = tmp_path / "tree"
    for folder in TESTED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


def integration(tree: Path, csv: Path | None = None) -> Ran:
    """Run the stage as a person would."""
    report = tree / "reports"
    command = [sys.executable, "ci/main.py", "integration", "--engine", "embedded"]
    environ = {key: value for key, value in os.environ.items() if key != "BREWERY_CSV"}
    done = subprocess.run(
        command,
        cwd=tree,
        env={**environ, **({"BREWERY_CSV": str(csv)} if csv else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    summary = json.loads((report / "summary.json").read_text())
    (stage,) = [entry for entry in summary["stages"] if entry["name"] == "integration"]
    return Ran(status=done.returncode, output=done.stdout, stage=stage, report=report)


def write_csv(path: Path, count: int) -> None:
    """A CSV of so many breweries, in the columns of the real one, that no run has seen."""
    batch = secrets.token_hex(4)
    rows = [
        f"id-{n},Brewery {batch} {n},micro,Street {n},,,Portland,Oregon,97201,United States,,,,"
        for n in range(count)
    ]
    head = (
        "id,name,brewery_type,address_1,address_2,address_3,city,state_province,postal_code,"
        "country,phone,website_url,longitude,latitude"
    )
    path.write_text("\n".join([head, *rows]) + "\n")


def test_the_lake_is_of_this_very_run_and_an_unchanged_run_is_remembered(tree: Path) -> None:
    csv = tree / "breweries.csv"
    write_csv(csv, 230)
    first = integration(tree, csv)
    assert first.status == 0, first.output
    assert (first.stage["cached"], first.verdict["lake"]["bronze_rows"]) == (False, 230)

    shutil.rmtree(first.report)
    again = integration(tree, csv)
    assert (again.status, again.stage["cached"]) == (0, True)
    assert again.verdict["lake"]["bronze_rows"] == 230
    assert list(again.report.glob("integration/logs/tasks/dag_id=*/run_id=*/task_id=commit/*.log"))

    write_csv(csv, 7)
    changed = integration(tree, csv)
    assert (changed.status, changed.stage["cached"]) == (0, False), changed.output
    assert (changed.verdict["lake"]["bronze_rows"], changed.verdict["lake"]["bronze_pages"]) == (
        7,
        1,
    )


@pytest.mark.soak
def test_a_syntax_error_in_a_dag_is_told_with_its_line(tree: Path) -> None:
    (tree / "dags/broken.py").write_text("from airflow.sdk import dag\n\ndef x(:\n")
    ran = integration(tree)
    assert (ran.status, ran.stage["failure"]) == (1, "code"), ran.output
    assert "broken.py cannot be imported: SyntaxError" in ran.output
    assert "line 3" in ran.output


@pytest.mark.soak
def test_a_source_that_does_not_start_is_upstream(tree: Path) -> None:
    compose = tree / "compose.yaml"
    served = '["python", "-m", "tests.brewery_api", "--host", "0.0.0.0", "--port", "8000"]'
    assert served in compose.read_text()
    broken = '["sh", "-c", "echo address in use; exit 7"]'
    compose.write_text(compose.read_text().replace(served, broken))
    ran = integration(tree)
    assert (ran.status, ran.stage["failure"]) == (5, "upstream"), ran.output
    assert "brewery-api ended with status 7: address in use" in ran.output


@pytest.mark.soak
def test_a_wrong_secret_is_explained_and_does_not_poison_the_next_run(tree: Path) -> None:
    compose = tree / "compose.yaml"
    right = compose.read_text()
    own = (
        "environment:\n      <<: *airflow-environment\n      AIRFLOW__API_AUTH__JWT_SECRET: wrong\n"
    )
    line = '    command: ["airflow", "scheduler", "--skip-serve-logs"]\n'
    assert line in right
    compose.write_text(right.replace(line, f"{line}    {own}"))
    wrong = integration(tree)
    assert (wrong.status, wrong.stage["failure"]) == (3, "infrastructure"), wrong.output
    assert "Invalid auth token" in wrong.output
    assert (wrong.report / "integration/logs/components/scheduler.log").exists()

    compose.write_text(right)
    assert integration(tree).status == 0
