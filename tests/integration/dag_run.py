"""One run of the DAG: it is known without import errors, triggered, waited for and explained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.airflow import Airflow
from tests.integration.logs import last_events, task_trouble, worst_component
from tests.integration.stack import Stack
from tests.integration.verdict import Cause, Failed

# What the data product raises when it is the world outside that failed: the source is down or sends
# what is no JSON of the API; the place of the lake is full, forbidden or not there.
_OUTSIDE = {"UpstreamError": Cause.UPSTREAM, "StorageError": Cause.INFRASTRUCTURE}
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRun:
    """A run of `dag_id` named `run_id`, whose task logs are below `logs`."""

    airflow: Airflow
    stack: Stack
    dag_id: str
    run_id: str
    logs: Path

    def wait_parsed(self, limit: float) -> None:
        """Wait until the DAG is known; raises Failed for any file that cannot be imported."""
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
                    Cause.CODE,
                    f"No file of the DAGs folder defines {self.dag_id} after {limit:g} s.",
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
            if time.monotonic() - began > limit:
                raise self._too_long(limit)
        if state != "success":
            raise self._explained(state)

    def states(self) -> list[dict[str, Any]]:
        """State, try, host and times of every task instance."""
        keys = ("task_id", "map_index", "state", "try_number", "hostname", "start_date", "end_date")
        tasks = self.airflow.task_instances(self.dag_id, self.run_id)
        return [{key: task.get(key) for key in keys} for task in tasks]

    def _too_long(self, limit: float) -> Failed:
        unfinished = [task for task in self.states() if task["state"] not in {"success", "skipped"}]
        states = [f"{_name(task)}: {task['state']}" for task in unfinished]
        # What is at work holds up the others: its log tells how far it came.
        running = next((task for task in unfinished if task["state"] == "running"), None)
        log = self._log(running) if running else Path()
        said = last_events(self.logs / log) if running else ()
        return Failed(
            Cause.CODE,
            f"{self.dag_id} did not end within {limit:g} s"
            + (f": task {_name(running)} is still at work." if running else "."),
            log=f"logs/tasks/{log}" if running else "logs/tasks",
            lines=(*states[:12], *said),
        )

    def _explained(self, state: str) -> Failed:
        failed = [task for task in self.states() if task["state"] == "failed"]
        if not failed:
            return Failed(Cause.CODE, f"{self.dag_id} ended as {state}.", log="logs/tasks")
        first = failed[0]
        log = self._log(first)
        trouble = task_trouble(self.logs / log)
        if trouble is None:
            # The task never came to write: what kept it from starting is in a component's log.
            log_file, trouble = worst_component(self.stack.folder)
            raise Failed(
                Cause.INFRASTRUCTURE,
                f"Task {_name(first)} failed before it could write a log: {trouble.summary}",
                log=f"logs/components/{log_file.name}" if log_file else "logs/components",
                lines=trouble.lines,
            )
        return Failed(
            _OUTSIDE.get(trouble.kind.rpartition(".")[2], Cause.CODE),
            f"Task {_name(first)} failed: {trouble.summary}",
            log=f"logs/tasks/{log}",
            lines=trouble.lines,
        )

    def _log(self, task: dict[str, Any]) -> Path:
        folder = Path(
            f"dag_id={self.dag_id}", f"run_id={self.run_id}", f"task_id={task['task_id']}"
        )
        if task["map_index"] >= 0:
            folder /= f"map_index={task['map_index']}"
        return folder / f"attempt={task['try_number']}.log"


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
