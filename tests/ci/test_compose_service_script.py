"""The script that gives a service conditions, health and logs: true processes, no engine."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci.compose import services

SCRIPT = Path(services.__file__).with_name("service.sh").read_text()
Start = Callable[..., None]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service of a stack of this test; all of them end with it."""
    running: list[subprocess.Popen[bytes]] = []

    def start_service(
        name: str, command: str, *, run: str = "run", after: str = "", health: str = "", **plan: str
    ) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "STACK_FOLDER": str(tmp_path),
            "STACK_RUN": run,
            "STACK_AFTER": after,
            "STACK_HEALTH": shlex.join(["sh", "-c", health]) if health else "",
            "STACK_VOLUMES": plan.get("volumes", ""),
            "STACK_INTERVAL": "0.05",
            "STACK_START_INTERVAL": "0.05",
            "STACK_START_PERIOD": plan.get("start_period", "60"),
            "STACK_TIMEOUT": "5",
            "STACK_RETRIES": "3",
        }
        arguments = ["sh", "-c", SCRIPT, name, "sh", "-c", command]
        running.append(subprocess.Popen(arguments, env=environ, start_new_session=True))

    yield start_service
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(path: Path, limit: float = 20.0) -> str:
    """The content of a file as soon as it is there."""
    deadline = time.monotonic() + limit
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.01)
    return path.read_text().strip()


def test_output_and_status_of_a_service_are_kept(tmp_path: Path, start: Start) -> None:
    start("a", "echo out; echo err >&2; exit 7")
    assert until(tmp_path / "run/a.exit") == "7"
    assert (tmp_path / "run/a.log").read_text() == "out\nerr\n"


def test_the_command_sees_none_of_the_scripts_own_variables(tmp_path: Path, start: Start) -> None:
    start("a", "env")
    until(tmp_path / "run/a.exit")
    assert "STACK_" not in (tmp_path / "run/a.log").read_text()


def test_a_service_waits_until_a_job_has_completed(tmp_path: Path, start: Start) -> None:
    start("b", f"cat {tmp_path}/made", after="service_completed_successfully:job")
    start("job", f"sleep 0.3; echo by the job >{tmp_path}/made")
    until(tmp_path / "run/b.exit")
    assert (tmp_path / "run/b.log").read_text() == "by the job\n"


def test_one_that_has_ended_well_was_started(tmp_path: Path, start: Start) -> None:
    start("a", "true")
    until(tmp_path / "run/a.exit")
    start("b", "echo up", after="service_started:a")
    assert until(tmp_path / "run/b.exit") == "0"


def test_a_service_waits_until_another_is_healthy(tmp_path: Path, start: Start) -> None:
    start("b", "echo up", after="service_healthy:a")
    start("a", f"sleep 0.3; touch {tmp_path}/ready; sleep 60", health=f"test -e {tmp_path}/ready")
    until(tmp_path / "run/b.exit")
    assert (tmp_path / "ready").exists()


@pytest.mark.parametrize("condition", ["service_completed_successfully", "service_healthy"])
def test_what_waits_for_a_service_that_failed_does_not_start(
    tmp_path: Path, start: Start, condition: str
) -> None:
    start("a", "exit 3")
    start("b", "echo never", after=f"{condition}:a")
    start("c", "echo never", after="service_started:b")
    assert until(tmp_path / "run/b.blocked") == "a ended with status 3"
    assert until(tmp_path / "run/c.blocked") == "b did not start"
    assert "never" not in (tmp_path / "run/b.log").read_text()


def test_a_service_is_unhealthy_after_the_allowed_failures(tmp_path: Path, start: Start) -> None:
    start("a", "sleep 60", health="echo no answer; false", start_period="0")
    start("b", "echo never", after="service_healthy:a")
    assert until(tmp_path / "run/b.blocked") == "a is unhealthy"
    assert (tmp_path / "run/a.health").read_text() == "no answer\n"


def test_volumes_are_emptied_once_in_each_bringup(tmp_path: Path, start: Start) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "old").touch()
    (volume / ".hidden").touch()
    start("a", f"touch {volume}/new", volumes=f"data={volume}")
    start("b", "true", volumes=f"data={volume}", after="service_completed_successfully:a")
    until(tmp_path / "run/b.exit")
    assert [path.name for path in volume.iterdir()] == ["new"]

    start("a", "true", run="next", volumes=f"data={volume}")
    until(tmp_path / "next/a.exit")
    assert list(volume.iterdir()) == []


def test_marks_of_an_earlier_bringup_mean_nothing(tmp_path: Path, start: Start) -> None:
    start("a", "true", run="earlier")
    until(tmp_path / "earlier/a.exit")
    start("b", f"ls {tmp_path}/now", run="now", after="service_completed_successfully:a")
    start("a", "sleep 0.3", run="now")
    until(tmp_path / "now/b.exit")
    assert "a.exit" in (tmp_path / "now/b.log").read_text()
