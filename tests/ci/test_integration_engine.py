"""The integration stage for real: the image, the stack and the DAG on the embedded engine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.ci.stage_runs import Tree
from tests.engine.machine import wait_until
from tests.engine.screen import on_a_terminal

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree.copied(tmp_path / "tree")


def health() -> dict[str, Any]:
    """What Airflow's API server, where a user finds it, says of each part."""
    with urllib.request.urlopen(
        "http://localhost:8080/api/v2/monitor/health", timeout=30
    ) as answer:
        return dict(json.load(answer))


def test_runs_of_one_content_share_a_stack_and_a_change_gets_another(tree: Tree) -> None:
    csv = tree.serve(230)
    with tree.begin(BREWERY_CSV=csv) as one, tree.begin(report="other", BREWERY_CSV=csv) as other:
        ran = tree.end(one), tree.end(other, report="other")
    for run in ran:
        assert (run.status, run.verdict["lake"]["bronze_rows"]) == (0, 230), run.output
    first, second = sorted(ran, key=lambda run: bool(run.stage["cached"]))
    assert (first.stage["cached"], second.stage["cached"]) == (False, True)
    assert second.explains("another run of the same content is at work")
    assert first.explains("stack up in", "DAG run of", "all else")

    shutil.rmtree(tree.root / "reports")
    again = tree.run(BREWERY_CSV=csv)
    assert (again.status, again.stage["cached"]) == (0, True)
    assert list(again.report.glob("integration/logs/tasks/dag_id=*/run_id=*/task_id=commit/*.log"))

    changed = tree.run(BREWERY_CSV=tree.serve(7))
    assert (changed.status, changed.stage["cached"], changed.left) == (0, False, []), changed.output
    lake = changed.verdict["lake"]
    assert (lake["bronze_rows"], lake["bronze_pages"]) == (7, 1)


@pytest.mark.soak
def test_a_stack_that_is_kept_was_used_and_can_be_looked_at_until_ctrl_c(tree: Tree) -> None:
    csv = tree.serve(7)
    assert tree.run(BREWERY_CSV=csv).status == 0
    with tree.begin("integration", "--keep", BREWERY_CSV=csv) as running:
        said = tree.root / "reports.txt"
        try:
            up = "the stack is up: http://localhost:8080"
            assert wait_until(lambda: up in said.read_text(), 180), said.read_text()
            assert health()["scheduler"]["status"] == "healthy"
        finally:
            running.send_signal(signal.SIGINT)
        ran = tree.end(running)
    assert (ran.status, ran.left) == (130, []), ran.output
    assert ran.verdict["lake"]["bronze_rows"] == 7
    assert ran.explains("integration: passed\n")


@pytest.mark.soak
def test_a_shell_opens_in_the_driver_while_its_stack_is_up(tree: Tree) -> None:
    (tree.root / "dags/broken.py").write_text("import nothing_such\n")
    command = [sys.executable, "ci/main.py", "shell", "integration", "--engine", "embedded"]
    environ = {name: value for name, value in os.environ.items() if name != "BREWERY_CSV"}
    with contextlib.chdir(tree.root), on_a_terminal(command, environ) as screen:
        screen.wait_for("integration: failed", 240)
        screen.wait_for("As left by `python -m tests.integration`, which ended with exit code 1:")
        screen.wait_for("$ ")
        screen.type("cat /tmp/out/verdict.json; ls /opt/brewline/dags\n")
        screen.wait_for("broken.py cannot be imported")
        screen.wait_for("brewery_pipeline.py")
        screen.type("python -m tests.integration.source $BREWLINE_API; exit\n")
        screen.wait_for("12000")
        assert screen.end() == 1


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_twenty_runs_each_after_a_change_pass_and_none_is_remembered(tree: Tree) -> None:
    for number in range(20):
        ran = tree.run(BREWERY_CSV=tree.serve(100 + number))
        assert (ran.status, ran.stage["cached"], ran.left) == (0, False, []), ran.output
        assert ran.stage["retried"] is None, ran.stage
        assert ran.verdict["lake"]["bronze_rows"] == 100 + number
