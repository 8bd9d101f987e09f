"""One run of the DAG: it is known without import errors, triggered, waited for and explained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.airflow import Airflow
from tests.integration.logs import (
    Trouble,
    last_events,
    lines_that_say,
    task_trouble,
    worst_component,
)
from tests.integration.stack import Stack
from tests.integration.verdict import Cause, Failed

# What a task raises when it is the world outside that failed: the source is down or sends what is
# no JSON of the API; the place of the lake is full, forbidden or not there; a disk, a network or
# the API server does not do what it should.
_OUTSIDE = {
    "UpstreamError": Cause.UPSTREAM,
    "StorageError": Cause.INFRASTRUCTURE,
    "AirflowRuntimeError": Cause.INFRASTRUCTURE,
    **dict.fromkeys(
        ("OSError", "TimeoutError", "ConnectionRefusedError", "ConnectionResetError"),
        Cause.INFRASTRUCTURE,
    ),
}
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRun:
    """A run of `dag_id` named `run_id`, whose task logs are below `logs`."""

    airflow: Airflow
    stack: Stack
    dag_id: str
    run_id: str
    logs: Path

    def check_health(self) -> dict[str, str | None]:
        """Status of each part of Airflow; raises Failed for one that is not healthy."""
        health = self.airflow.health()
        # A part that does not run has no status: of these, each must.
        needed = {"metadatabase", "scheduler", "dag_processor"}
        running = {name for name, status in health.items() if status is not None}
        for part in sorted(needed | running):
            if health.get(part) != "healthy":
                said = f"The API server says that the {part} is {health.get(part)}"
                raise self._by_component(said)
        return health

    def wait_parsed(self, limit: float) -> None:
        """Wait until the DAG is known, which a file defines by the check of all files.

        Raises Failed for any file that cannot be imported.
        """
        deadline = time.monotonic() + limit
        while True:
            known = self.airflow.dag(self.dag_id)
            errors = self.airflow.import_errors()
            if errors:
                raise _import_failed(errors)
            if known is not None and not known.get("has_import_errors"):
                return
            self.stack.check()
            if time.monotonic() > deadline:
                raise Failed(
                    Cause.INFRASTRUCTURE,
                    f"The DAG processor has not read {self.dag_id} after {limit:g} s.",
                    log="logs/components/dag-processor.log",
                )
            time.sleep(0.25)

    def run(self, limit: float) -> None:
        """Unpause, trigger and wait; raises Failed when the run fails or takes too long."""
        self.airflow.unpause(self.dag_id)
        self.airflow.trigger(self.dag_id, self.run_id, {})
        began = time.monotonic()
        state = "queued"
        for state in self.airflow.states(self.dag_id, self.run_id, interval=_POLL_SECONDS):
            # A scheduler that died would leave the run waiting until the limit.
            self.stack.check()
            self._check_tokens()
            if time.monotonic() - began > limit:
                raise self._too_long(limit)
        if state != "success":
            raise self._explained(state)

    def states(self) -> list[dict[str, Any]]:
        """State, try, host and times of every task instance."""
        keys = ("task_id", "map_index", "state", "try_number", "hostname", "start_date", "end_date")
        tasks = self.airflow.task_instances(self.dag_id, self.run_id)
        return [{key: task.get(key) for key in keys} for task in tasks]

    def _check_tokens(self) -> None:
        # Airflow tries such a task again, minutes later each time, and it never gets better.
        refused = lines_that_say("Signature verification failed", self.stack.folder)
        if refused:
            raise Failed(
                Cause.INFRASTRUCTURE,
                "The API server refuses the tokens of tasks: AIRFLOW__API_AUTH__JWT_SECRET differs"
                " between the services.",
                log="logs/components/api-server.log",
                lines=refused[:6],
            )

    def _too_long(self, limit: float) -> Failed:
        unfinished = [task for task in self.states() if task["state"] not in {"success", "skipped"}]
        message = f"{self.dag_id} did not end within {limit:g} s"
        # What earlier tries failed with explains why a task is late.
        for task in unfinished:
            log, trouble = self._last_trouble(task)
            cause = _cause(trouble)
            if trouble and cause is not Cause.CODE:
                said = f"{message}: task {_name(task)} was tried again: {trouble.summary}"
                return Failed(cause, said, log=f"logs/tasks/{log}", lines=trouble.lines)
        # What is at work holds up the others: its log tells how far it came.
        running = next((task for task in unfinished if task["state"] == "running"), None)
        if running is None:
            self.check_health()
        log = self._log(running) if running else Path()
        states = [f"{_name(task)}: {task['state']}" for task in unfinished]
        return Failed(
            Cause.CODE,
            message + (f": task {_name(running)} is still at work." if running else "."),
            log=str(Path("logs/tasks", log)),
            lines=(*states[:12], *(last_events(self.logs / log) if running else ())),
        )

    def _explained(self, state: str) -> Failed:
        failed = [task for task in self.states() if task["state"] == "failed"]
        if not failed:
            return Failed(Cause.CODE, f"{self.dag_id} ended as {state}.", log="logs/tasks")
        first = failed[0]
        log = self._log(first)
        if not (self.logs / log).exists():
            # What kept it from starting is in a component's log.
            return self._by_component(f"Task {_name(first)} failed before it could write a log")
        trouble = task_trouble(self.logs / log)
        if trouble is None:
            said = last_events(self.logs / log) or ("nothing",)
            return Failed(
                Cause.INFRASTRUCTURE,
                f"Task {_name(first)} was ended from outside; it said last: {said[-1]}",
                log=f"logs/tasks/{log}",
                lines=said,
            )
        return Failed(
            _cause(trouble),
            f"Task {_name(first)} failed: {trouble.summary}",
            log=f"logs/tasks/{log}",
            lines=trouble.lines,
        )

    def _by_component(self, said: str) -> Failed:
        """A failure that a component's log explains, if anything does."""
        log, trouble = worst_component(self.stack.folder)
        return Failed(
            Cause.INFRASTRUCTURE,
            f"{said}: {trouble.summary}",
            log=f"logs/components/{log.name}" if log else "logs/components",
            lines=trouble.lines,
        )

    def _last_trouble(self, task: dict[str, Any]) -> tuple[Path, Trouble | None]:
        """The error of the newest try of a task that tells of one, and its log."""
        for attempt in range(task["try_number"] or 0, 0, -1):
            log = self._log({**task, "try_number": attempt})
            if trouble := task_trouble(self.logs / log):
                return log, trouble
        return Path(), None

    def _log(self, task: dict[str, Any]) -> Path:
        folder = Path(
            f"dag_id={self.dag_id}", f"run_id={self.run_id}", f"task_id={task['task_id']}"
        )
        if task["map_index"] >= 0:
            folder /= f"map_index={task['map_index']}"
        return folder / f"attempt={task['try_number']}.log"


def _cause(trouble: Trouble | None) -> Cause:
    return _OUTSIDE.get(trouble.kind.rpartition(".")[2], Cause.CODE) if trouble else Cause.CODE


def _name(task: dict[str, Any]) -> str:
    return str(task["task_id"]) + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")


def _import_failed(errors: list[dict[str, Any]]) -> Failed:
    first = errors[0]
    lines = tuple(str(first.get("stack_trace", "")).strip().splitlines()[-12:])
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return Failed(
        Cause.CODE,
        f"{first.get('filename')} cannot be imported{more}: {lines[-1] if lines else 'no reason'}",
        log="logs/components/dag-processor.log",
        lines=lines,
    )
