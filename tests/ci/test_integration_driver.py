"""The driver of the integration stage: how it judges services, logs and runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration import airflow, source
from tests.integration.airflow import Airflow
from tests.integration.dag_run import DagRun
from tests.integration.logs import component_trouble, keep, task_trouble, worst_component
from tests.integration.stack import Component, Stack
from tests.integration.verdict import Cause, Failed, Verdict

DB = Component(name="db", healthcheck=True)
JOB = Component(name="job", job=True)
API = Component(name="api", source=True)


def stack(folder: Path, **marks: str) -> Stack:
    """A stack of three services with marks written as `db_healthy="1 s"`."""
    for name, text in marks.items():
        (folder / name.replace("_", ".")).write_text(text + "\n")
    return Stack(folder=folder, components=(DB, JOB, API))


def test_a_stack_is_ready_when_checks_pass_jobs_completed_and_the_rest_started(
    tmp_path: Path,
) -> None:
    ready = stack(tmp_path, db_healthy="1 s", job_exit="0", api_started="5").wait_ready(1)
    assert set(ready) == {"db", "job", "api"}


@pytest.mark.parametrize(
    ("marks", "cause", "message"),
    [
        pytest.param(
            {"db_exit": "0", "db_log": "bye"},
            Cause.INFRASTRUCTURE,
            "db ended with status 0: bye",
            id="ended",
        ),
        pytest.param(
            {"job_exit": "1", "job_log": "Traceback\nx.OperationalError: FATAL: no\nhint"},
            Cause.INFRASTRUCTURE,
            "job ended with status 1: x.OperationalError: FATAL: no",
            id="job failed",
        ),
        pytest.param(
            {"db_unhealthy": "3", "db_health": "no response"},
            Cause.INFRASTRUCTURE,
            "db is unhealthy (no response).",
            id="unhealthy",
        ),
        pytest.param(
            {"db_exit": "1", "job_blocked": "db ended with status 1"},
            Cause.INFRASTRUCTURE,
            "db ended with status 1.",
            id="what failed first, not what it blocked",
        ),
        pytest.param(
            {"api_exit": "2", "api_log": "no CSV"}, Cause.UPSTREAM, "api ended", id="source"
        ),
        pytest.param(
            {"db_healthy": "1"}, Cause.INFRASTRUCTURE, "job was not ready after 0", id="late"
        ),
    ],
)
def test_a_service_that_fails_is_named_with_its_reason(
    tmp_path: Path, marks: dict[str, str], cause: Cause, message: str
) -> None:
    with pytest.raises(Failed, match=message.replace("(", r"\(").replace(")", r"\)")) as caught:
        stack(tmp_path, **marks).wait_ready(0)
    assert caught.value.cause is cause
    assert caught.value.log.startswith("logs/components/")


def test_the_log_of_a_component_is_told_by_its_most_telling_line(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        "x.Error: something: else\n\x1b[31mFATAL:  password authentication failed for user\x1b[0m\n"
        "   ^^^^^\n(Background on this error at: https://sqlalche.me/)\n"
    )
    trouble = component_trouble(log)
    assert trouble.summary == "FATAL:  password authentication failed for user"
    assert not any("^" in line for line in trouble.lines)
    assert component_trouble(tmp_path / "none.log").lines == ()


def test_the_component_that_names_the_cause_wins_over_one_that_only_says_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "api.log").write_text("an error\nanother error\n")
    (tmp_path / "scheduler.log").write_text("fine\nServerResponseError: Invalid auth token\n" * 2)
    log, trouble = worst_component(tmp_path)
    assert log == tmp_path / "scheduler.log"
    assert trouble.lines == ("ServerResponseError: Invalid auth token",)


def record(kind: str, value: str) -> str:
    """A line of a task's log as Airflow writes it for an exception."""
    frames = [{"filename": "/opt/x.py", "lineno": 7, "name": "fetch"}]
    detail = [{"exc_type": kind, "exc_value": value, "frames": frames}]
    return json.dumps({"level": "error", "event": "Task failed", "error_detail": detail}) + "\n"


def test_the_last_exception_of_a_task_is_told_with_its_place(tmp_path: Path) -> None:
    log = tmp_path / "attempt=1.log"
    log.write_text('{"level": "info", "event": "x"}\nno JSON\n' + record("ValueError", "seven"))
    trouble = task_trouble(log)
    assert trouble is not None
    assert trouble.summary == "ValueError: seven"
    assert trouble.lines[-1] == "  at /opt/x.py:7 in fetch"
    log.write_text('{"level": "info", "event": "x"}\n')
    assert task_trouble(log) is None


def test_logs_are_kept_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source/deep"
    source.mkdir(parents=True)
    for name in ("a.log", "a.exit", ".a.exit"):
        (source / name).write_text(name)
    keep([(tmp_path / "source", tmp_path / "kept"), (tmp_path / "none", tmp_path / "nothing")])
    assert [path.name for path in (tmp_path / "kept/deep").iterdir()] == ["a.log"]


def test_a_verdict_names_the_step_and_the_class_of_its_failure(tmp_path: Path) -> None:
    verdict = Verdict()
    with verdict.step("start"):
        pass
    with pytest.raises(Failed) as caught, verdict.step("run"):
        raise Failed(Cause.UPSTREAM, "down", log="l", lines=("a",))
    verdict.fail(caught.value)
    verdict.write(tmp_path / "verdict.json")
    written = json.loads((tmp_path / "verdict.json").read_text())
    assert (verdict.exit_code, written["passed"]) == (5, False)
    assert written["failure"] == {
        "class": "upstream",
        "step": "run",
        "message": "down",
        "log": "l",
        "lines": ["a"],
    }


def test_a_driver_that_breaks_has_not_passed(tmp_path: Path) -> None:
    verdict = Verdict()
    with pytest.raises(RuntimeError) as caught, verdict.step("verify"):
        raise RuntimeError("a bug")
    verdict.fail(caught.value)
    verdict.write(tmp_path / "verdict.json")
    written = json.loads((tmp_path / "verdict.json").read_text())
    assert (verdict.exit_code, written["passed"]) == (1, False)
    failure = written["failure"]
    assert (failure["class"], failure["step"]) == ("code", "verify")
    assert failure["message"] == "The driver itself is at fault, RuntimeError: a bug"
    assert failure["lines"][0].startswith("Traceback")


def test_a_machine_that_fails_the_driver_is_infrastructure() -> None:
    verdict = Verdict()
    verdict.fail(OSError(28, "No space left on device"))
    assert verdict.exit_code == 3


@dataclass
class Answers:
    """What the server in place of Airflow says; `states` is the body of the wait endpoint."""

    url: str = ""
    states: list[str] = field(default_factory=lambda: ["running", "success"])
    tasks: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    dag: dict[str, Any] | None = field(default_factory=dict)
    silence: float = 0.0
    health: dict[str, Any] = field(
        default_factory=lambda: {
            name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "dag_processor")
        }
    )
    received: list[tuple[str, str, Any]] = field(default_factory=list)


@pytest.fixture
def answers() -> Iterator[Answers]:
    """A server that gives Airflow's answers over a true connection."""
    said = Answers()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said.received.append((self.command, self.path, json.loads(body) if body else None))
            status, text = self.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = respond

        def answer(self) -> tuple[int, bytes]:
            if self.path == "/auth/token":
                return 201, b'{"access_token": "t"}'
            if "/wait" in self.path:
                time.sleep(said.silence)
                return 200, "".join(f'{{"state": "{s}"}}\n' for s in said.states).encode()
            if self.path.endswith("/health"):
                return 200, json.dumps(said.health).encode()
            if "/taskInstances" in self.path:
                return 200, json.dumps({"task_instances": said.tasks}).encode()
            if "/importErrors" in self.path:
                return 200, json.dumps({"import_errors": said.errors}).encode()
            return (404, b"{}") if said.dag is None else (200, json.dumps(said.dag).encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        said.url = f"http://127.0.0.1:{server.server_port}"
        yield said
        server.shutdown()
        thread.join()


@pytest.fixture
def run(answers: Answers, tmp_path: Path) -> Iterator[DagRun]:
    """A run of the DAG `d` named `r`."""
    (tmp_path / "stack").mkdir()
    client = Airflow(answers.url, "secret")
    yield DagRun(
        airflow=client,
        stack=stack(tmp_path / "stack"),
        dag_id="d",
        run_id="r",
        logs=tmp_path / "logs",
    )
    client.client.close()


def task(name: str, state: str, *, end: str, index: int = -1) -> dict[str, Any]:
    """A task instance as the API lists it."""
    return {"task_id": name, "map_index": index, "state": state, "try_number": 2, "end_date": end}


def test_a_run_is_unpaused_then_triggered_by_name(answers: Answers, run: DagRun) -> None:
    run.run(5)
    unpaused, triggered, _ = answers.received
    assert unpaused == ("PATCH", "/api/v2/dags/d", {"is_paused": False})
    assert triggered[:2] == ("POST", "/api/v2/dags/d/dagRuns")
    assert triggered[2] == {"logical_date": None, "dag_run_id": "r", "conf": {}}


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("pipeline.errors.UpstreamError", Cause.UPSTREAM),
        ("pipeline.errors.StorageError", Cause.INFRASTRUCTURE),
        ("OSError", Cause.INFRASTRUCTURE),
        ("ConnectionRefusedError", Cause.INFRASTRUCTURE),
        ("FileNotFoundError", Cause.CODE),
        ("AirflowRuntimeError", Cause.INFRASTRUCTURE),
        ("KeyError", Cause.CODE),
    ],
)
def test_a_failed_run_is_explained_by_the_task_that_failed_first(
    answers: Answers, run: DagRun, kind: str, cause: Cause
) -> None:
    answers.states = ["failed"]
    answers.tasks = [
        task("late", "failed", end="2026-01-02"),
        task("first", "failed", end="2026-01-01", index=3),
        task("next", "upstream_failed", end="2025-01-01"),
    ]
    log = run.logs / "dag_id=d/run_id=r/task_id=first/map_index=3/attempt=2.log"
    log.parent.mkdir(parents=True)
    log.write_text(record(kind, "why"))
    with pytest.raises(Failed, match=r"Task first\[3\] failed: .*: why") as caught:
        run.run(5)
    assert caught.value.cause is cause
    assert caught.value.log == f"logs/tasks/{log.relative_to(run.logs)}"


def test_a_task_without_a_log_is_explained_by_a_component(answers: Answers, run: DagRun) -> None:
    answers.states = ["failed"]
    answers.tasks = [task("plan", "failed", end="2026-01-01")]
    (run.stack.folder / "scheduler.log").write_text("Error: Invalid auth token\n")
    with pytest.raises(Failed, match="before it could write a log: .*Invalid auth token") as caught:
        run.run(5)
    assert caught.value.cause is Cause.INFRASTRUCTURE
    assert caught.value.log == "logs/components/scheduler.log"


def test_a_task_that_was_ended_from_outside_is_told_by_its_last_words(
    answers: Answers, run: DagRun
) -> None:
    answers.states = ["failed"]
    answers.tasks = [task("plan", "failed", end="2026-01-01")]
    log = a_log(run, "plan", 2, '{"level": "info", "event": "page 7"}\n')
    with pytest.raises(Failed, match="plan was ended from outside; it said last: page 7") as caught:
        run.run(5)
    assert (caught.value.cause, caught.value.log) == (Cause.INFRASTRUCTURE, log)


def a_log(run: DagRun, name: str, attempt: int, text: str) -> str:
    """The log of a task's try, and where it is kept."""
    log = run.logs / f"dag_id=d/run_id=r/task_id={name}/attempt={attempt}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return f"logs/tasks/{log.relative_to(run.logs)}"


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("pipeline.errors.UpstreamError", Cause.UPSTREAM),
        ("pipeline.errors.StorageError", Cause.INFRASTRUCTURE),
    ],
)
def test_a_run_that_is_late_since_the_world_outside_fails_it_is_blamed_on_that(
    answers: Answers, run: DagRun, kind: str, cause: Cause
) -> None:
    answers.states = ["running"]
    answers.tasks = [task("slow", "running", end=""), task("extract", "up_for_retry", end="")]
    log = a_log(run, "extract", 1, record(kind, "it answered 429"))
    a_log(run, "extract", 2, '{"level": "info", "event": "once more"}\n')
    said = f"within 0 s: task extract was tried again: {kind}: it answered 429"
    with pytest.raises(Failed, match=said) as caught:
        run.run(0)
    assert (caught.value.cause, caught.value.log) == (cause, log)


def test_a_run_that_nobody_works_at_is_blamed_on_the_component_that_should(
    answers: Answers, run: DagRun
) -> None:
    answers.states = ["running"]
    answers.tasks = [{**task("plan", "queued", end=""), "try_number": None}]
    answers.health["scheduler"] = {"status": "unhealthy"}
    (run.stack.folder / "scheduler.log").write_text("CRITICAL: stuck\n")
    with pytest.raises(Failed, match="the scheduler is unhealthy: CRITICAL: stuck") as caught:
        run.run(0)
    assert caught.value.cause is Cause.INFRASTRUCTURE


def test_a_run_that_takes_too_long_names_what_is_unfinished(answers: Answers, run: DagRun) -> None:
    answers.states = ["running"]
    answers.tasks = [task("done", "success", end="2026-01-01"), task("slow", "running", end="")]
    with pytest.raises(Failed, match="did not end within 0 s") as caught:
        run.run(0)
    assert (caught.value.cause, caught.value.lines) == (Cause.CODE, ("slow: running",))


def test_a_run_that_takes_too_long_tells_what_the_task_at_work_said_last(
    answers: Answers, run: DagRun
) -> None:
    answers.states = ["running"]
    answers.tasks = [task("next", "queued", end=""), task("slow", "running", end="")]
    log = run.logs / "dag_id=d/run_id=r/task_id=slow/attempt=2.log"
    log.parent.mkdir(parents=True)
    log.write_text('{"level": "info", "event": "page 7"}\nno JSON\n')
    with pytest.raises(Failed, match="task slow is still at work") as caught:
        run.run(0)
    assert caught.value.lines == ("next: queued", "slow: running", "page 7", "no JSON")
    assert caught.value.log == f"logs/tasks/{log.relative_to(run.logs)}"


def test_a_component_that_dies_ends_the_wait_though_the_server_is_silent(
    answers: Answers, run: DagRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow, "_SILENCE_SECONDS", 0.05)
    answers.silence = 0.5
    (run.stack.folder / "db.exit").write_text("137\n")
    with pytest.raises(Failed, match="db was killed by signal 9\\."):
        run.run(60)


def test_a_server_that_is_silent_for_a_while_is_asked_again(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow, "_SILENCE_SECONDS", 0.05)
    answers.silence = 0.2
    client = Airflow(answers.url, "x")
    with client.client:
        waiting = client.states("d", "r", interval=1)
        assert next(waiting) == "queued"
        answers.silence = 0
        # On a busy machine it may seem silent for a little longer.
        assert [state for state in waiting if state != "queued"] == ["running", "success"]


def test_the_part_that_tasks_talk_to_is_asked_before_they_do(answers: Answers) -> None:
    client = Airflow(answers.url, "x")
    with client.client:
        client.warm_up()
    assert answers.received == [("GET", "/execution/health", None)]


def test_a_server_that_stays_silent_is_given_up(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow, "_SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(airflow, "_PATIENCE_SECONDS", 0.1)
    answers.silence = 5
    client = Airflow(answers.url, "x")
    with client.client, pytest.raises(Failed, match="stopped answering") as caught:
        list(client.states("d", "r", interval=1))
    assert caught.value.cause is Cause.INFRASTRUCTURE


def test_a_component_that_dies_ends_the_wait(answers: Answers, run: DagRun) -> None:
    (run.stack.folder / "db.exit").write_text("137\n")
    with pytest.raises(Failed, match="db was killed by signal 9\\."):
        run.run(60)


def test_tokens_of_another_secret_end_the_wait(answers: Answers, run: DagRun) -> None:
    answers.states = ["running"] * 100
    said = "jwt.exceptions.InvalidSignatureError: Signature verification failed"
    (run.stack.folder / "api-server.log").write_text(f"started\n{said}\n{said}\n")
    with pytest.raises(Failed, match="JWT_SECRET differs between the services") as caught:
        run.run(60)
    assert (caught.value.cause, caught.value.lines) == (Cause.INFRASTRUCTURE, (said,))


def test_an_import_error_of_any_file_fails_with_its_last_line(
    answers: Answers, run: DagRun
) -> None:
    answers.errors = [{"filename": "x.py", "stack_trace": "Traceback:\n  y\nSyntaxError: bad\n"}]
    with pytest.raises(Failed, match="x.py cannot be imported: SyntaxError: bad") as caught:
        run.wait_parsed(5)
    assert caught.value.cause is Cause.CODE


def test_a_dag_that_is_not_read_in_time_is_the_dag_processors_fault(
    answers: Answers, run: DagRun
) -> None:
    answers.dag = None
    with pytest.raises(Failed, match="The DAG processor has not read d after 0 s") as caught:
        run.wait_parsed(0)
    assert caught.value.cause is Cause.INFRASTRUCTURE


def test_a_part_without_a_status_is_not_healthy(answers: Answers, run: DagRun) -> None:
    del answers.health["dag_processor"]
    with pytest.raises(Failed, match="the dag_processor is None"):
        run.check_health()


def test_rows_that_came_or_went_during_the_run_are_not_our_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "source_total", lambda api: 12)
    source.require_rows(10, 10, "x")
    source.require_rows(12, 10, "x")
    with pytest.raises(Failed, match="10 rows before, 12 after, 11 fetched") as caught:
        source.require_rows(11, 10, "x")
    assert caught.value.cause is Cause.UPSTREAM
    with pytest.raises(Failed, match="the source has 12 rows, bronze 11") as caught:
        source.require_rows(11, 12, "x")
    assert caught.value.cause is Cause.CODE


def test_a_server_that_is_gone_is_infrastructure() -> None:
    client = Airflow("http://127.0.0.1:9", "x")
    with client.client, pytest.raises(Failed, match="stopped answering") as caught:
        client.log_in()
    assert caught.value.cause is Cause.INFRASTRUCTURE
