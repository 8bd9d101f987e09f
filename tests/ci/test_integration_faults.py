"""What breaks under the integration stage ends it with the right class, told by lines of a log."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ci.stage_runs import Ran, Tree

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]

CODE, INFRASTRUCTURE, UPSTREAM = (1, "code"), (3, "infrastructure"), (5, "upstream")
SCHEDULER = "airflow scheduler --skip-serve-logs"
API = "python -m tests.brewery_api --host 0.0.0.0 --port 8000"
# Where each service that is to watch the DAG run has the tasks' logs.
LOGS = "/watched"
# The folder of 64 MiB that each container has and root alone may write to.
SMALL = "/dev"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree.copied(tmp_path / "tree")


def command(script: str) -> Callable[[dict[str, Any]], None]:
    """A service that runs a script of its own, and sees the logs of tasks."""

    def change(service: dict[str, Any]) -> None:
        service["command"] = ["bash", "-c", script.replace("$", "$$")]
        service.setdefault("volumes", []).append(f"logs:{LOGS}")

    return change


def until_task(task: str) -> str:
    """Shell that waits until a task of the DAG run is at work."""
    return f"until ls {LOGS}/dag_id=*/run_id=*/task_id={task} >/dev/null 2>&1; do sleep 0.1; done"


def killed(running: str, task: str) -> Callable[[dict[str, Any]], None]:
    """A service that is killed once a task is at work."""
    return command(f"{running} & {until_task(task)}; kill -9 $!; wait $!")


def try_tasks_once(tree: Tree) -> None:
    """Have no task tried again: tries are minutes apart."""
    tree.replace("dags/failures.py", '"retries": 3', '"retries": 1')
    tree.replace("dags/failures.py", "timedelta(seconds=20)", "timedelta(seconds=1)")


def check(ran: Ran, ended: tuple[int, str], *lines: str) -> None:
    """The run ended so, said so, kept a log to read, and left nothing running."""
    assert ran.ended == ended, ran.output
    assert ran.explains(*lines)
    assert ran.left == []
    folder = ran.report / "integration"
    assert (folder / (ran.verdict["failure"]["log"] or "verdict.json")).is_file()
    assert (folder / "configuration.json").exists()


def test_a_full_disk_under_the_database_is_tried_twice_and_named(tree: Tree) -> None:
    def full(service: dict[str, Any]) -> None:
        command(f"head -c 50M /dev/zero >{SMALL}/ballast; exec docker-entrypoint.sh postgres")(
            service
        )
        service["environment"]["PGDATA"] = f"{SMALL}/data"

    tree.change_service("postgres", full)
    ran = tree.run()
    check(ran, INFRASTRUCTURE, "postgres ended with status 1", "No space left on device")
    assert "No space left on device" in ran.stage["retried"]


def test_a_source_that_does_not_start_is_upstream(tree: Tree) -> None:
    tree.change_service("brewery-api", command("echo address in use; exit 7"))
    check(tree.run(), UPSTREAM, "brewery-api ended with status 7: address in use")


def test_a_syntax_error_is_told_with_its_line_before_any_stack_is_started(tree: Tree) -> None:
    (tree.root / "dags/broken.py").write_text("\n\ndef x(:\n")
    ran = tree.run()
    assert (ran.ended, ran.left) == (CODE, []), ran.output
    assert ran.explains("dags/broken.py", "line 3", "SyntaxError")


@pytest.mark.soak
def test_a_file_that_cannot_be_imported_is_named_though_safe_mode_hides_it(tree: Tree) -> None:
    (tree.root / "dags/broken.py").write_text("import nothing_such\n")
    check(tree.run(), CODE, "broken.py cannot be imported: ModuleNotFoundError", "line 1")


@pytest.mark.soak
def test_a_database_that_is_killed_in_the_middle_is_named(tree: Tree) -> None:
    tree.try_once()
    tree.change_service("postgres", killed("docker-entrypoint.sh postgres", "extract"))
    check(tree.run(), INFRASTRUCTURE, "postgres was killed by signal 9")


@pytest.mark.soak
def test_a_scheduler_that_is_killed_in_the_middle_is_named(tree: Tree) -> None:
    tree.try_once()
    tree.change_service("scheduler", killed(SCHEDULER, "extract"))
    check(tree.run(), INFRASTRUCTURE, "scheduler was killed by signal 9")


@pytest.mark.soak
def test_a_source_that_goes_down_in_the_middle_is_upstream(tree: Tree) -> None:
    tree.change_service("brewery-api", killed(API, "extract"))
    check(tree.run(), UPSTREAM, "brewery-api was killed by signal 9")


@pytest.mark.soak
def test_a_source_that_turns_to_garbage_in_the_middle_is_upstream(tree: Tree) -> None:
    try_tasks_once(tree)
    script = f"{API} & {until_task('extract')}; kill $!; wait $!; exec {API} --fault html@1"
    tree.change_service("brewery-api", command(script))
    check(tree.run(), UPSTREAM, "Task extract", "UpstreamError")


@pytest.mark.soak
def test_a_source_of_garbage_is_upstream_before_any_task_runs(tree: Tree) -> None:
    tree.change_service("brewery-api", command(f"exec {API} --fault html@1"))
    check(tree.run(), UPSTREAM, "its meta data has no total")


@pytest.mark.soak
def test_a_full_disk_under_the_lake_is_infrastructure(tree: Tree) -> None:
    def full(service: dict[str, Any]) -> None:
        command(f"head -c 70M /dev/zero >{SMALL}/ballast; exec {SCHEDULER}")(service)
        service["user"] = "0"
        service["environment"]["BREWERY_LAKE"] = f"file://{SMALL}/lake"

    tree.try_once()
    try_tasks_once(tree)
    tree.change_service("scheduler", full)
    check(tree.run(), INFRASTRUCTURE, "Task", "StorageError", "No space left on device")


@pytest.mark.soak
def test_a_wrong_secret_is_explained_and_does_not_poison_the_next_run(tree: Tree) -> None:
    right = (tree.root / "compose.yaml").read_text()

    def other_secret(service: dict[str, Any]) -> None:
        service["environment"]["AIRFLOW__API_AUTH__JWT_SECRET"] = "wrong" * 13

    tree.change_service("scheduler", other_secret)
    wrong = tree.run()
    check(wrong, INFRASTRUCTURE, "JWT_SECRET differs", "Signature verification failed")
    assert "JWT_SECRET differs" in wrong.stage["retried"]
    assert "wrongwrong" not in (wrong.report / "integration/configuration.json").read_text()

    (tree.root / "compose.yaml").write_text(right)
    assert tree.run().status == 0


@pytest.mark.soak
def test_a_slow_start_is_waited_for(tree: Tree) -> None:
    tree.change_service("postgres", command("sleep 8; exec docker-entrypoint.sh postgres"))
    tree.change_service("scheduler", command(f"sleep 20; exec {SCHEDULER}"))
    ran = tree.run()
    assert (ran.status, ran.left) == (0, []), ran.output
    assert ran.verdict["ready"]["scheduler"] > 28


@pytest.mark.soak
def test_a_service_that_never_becomes_healthy_is_named(tree: Tree) -> None:
    def mute(service: dict[str, Any]) -> None:
        command("sleep 600")(service)
        service["healthcheck"].update(start_period="1s", interval="1s", retries=2)

    tree.try_once()
    tree.change_service("postgres", mute)
    check(tree.run(), INFRASTRUCTURE, "postgres is unhealthy (")


@pytest.mark.soak
def test_a_dag_that_hangs_ends_at_the_limit_and_names_the_task_at_work(tree: Tree) -> None:
    hang = textwrap.indent("import time\nprint('asking for ever')\ntime.sleep(900)\n", " " * 8)
    plan = '        return step("plan", **source())\n'
    tree.replace("dags/brewery_pipeline.py", plan, hang + plan)
    tree.replace("ci/stack.py", "_TIME_LIMIT_SECONDS = 20 * 60", "_TIME_LIMIT_SECONDS = 30")
    check(tree.run(), CODE, "did not end within 30 s: task plan is still at work", "for ever")
