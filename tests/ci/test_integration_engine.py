"""The integration stage for real: the image, the stack and the DAG on the embedded engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ci.stage_runs import Tree

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree.copied(tmp_path / "tree")


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
@pytest.mark.timeout(3 * 3600)
def test_twenty_runs_each_after_a_change_pass_and_none_is_remembered(tree: Tree) -> None:
    for number in range(20):
        ran = tree.run(BREWERY_CSV=tree.serve(100 + number))
        assert (ran.status, ran.stage["cached"], ran.left) == (0, False, []), ran.output
        assert ran.stage["retried"] is None, ran.stage
        assert ran.verdict["lake"]["bronze_rows"] == 100 + number
