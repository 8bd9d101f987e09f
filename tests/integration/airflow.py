"""Airflow's REST API v2, as much of it as the driver uses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.integration.verdict import Cause, Failed

_ENDED = ("success", "failed")
# On a loaded machine a server may take long to answer; whether it lives is known from elsewhere.
_SECONDS = 60.0
_SILENCE_SECONDS = 5.0
_PATIENCE_SECONDS = 120.0


@dataclass(slots=True)
class Airflow:
    """A client that has logged in; an answer that is not expected raises Failed."""

    url: str
    password: str
    user: str = "admin"
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=_SECONDS)

    def warm_up(self) -> None:
        """Ask the part of the server that tasks talk to for its first answer.

        That takes it seconds of a core (it makes its routes then), more on a loaded machine, and it
        answers nobody else meanwhile: tasks would give up.
        """
        self._send("GET", "/execution/health", timeout=_PATIENCE_SECONDS)

    def log_in(self) -> None:
        """Get a token; a refused password is a matter of configuration."""
        credentials = {"username": self.user, "password": self.password}
        answer = self._send("POST", "/auth/token", json=credentials)
        if answer.status_code != 201:
            raise Failed(
                Cause.INFRASTRUCTURE,
                f"The API server refuses the password of {self.user} ({answer.status_code}): "
                "AIRFLOW_ADMIN_PASSWORD differs between the server and its user.",
                log="logs/components/api-server.log",
                lines=(answer.text[:500],),
            )
        token = answer.json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def health(self) -> dict[str, str | None]:
        """Status of each part as the API server sees it; a part that does not run is None."""
        parts = self._get("/api/v2/monitor/health")
        return {name: part.get("status") for name, part in parts.items() if isinstance(part, dict)}

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that could not be read, with their tracebacks."""
        return list(self._get("/api/v2/importErrors")["import_errors"])

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """What Airflow knows of a DAG, or None while it does not know it."""
        answer = self._send("GET", f"/api/v2/dags/{dag_id}")
        return None if answer.status_code == 404 else dict(self._checked(answer))

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run."""
        self._checked(self._send("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False}))

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        """Ask for a run of that very name."""
        body = {"logical_date": None, "dag_run_id": run_id, "conf": conf}
        self._checked(self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body))

    def states(self, dag_id: str, run_id: str, *, interval: float) -> Iterator[str]:
        """The run's state, every `interval` seconds or so until it has ended.

        While the server is silent the state is the last one heard, so that whoever waits can look
        at what else there is; raises Failed when it has been silent for too long.
        """
        heard, state = time.monotonic(), "queued"
        while state not in _ENDED:
            try:
                for state in self._stream(dag_id, run_id, interval):
                    heard = time.monotonic()
                    yield state
            except httpx.ReadTimeout as error:
                if time.monotonic() - heard > _PATIENCE_SECONDS:
                    raise self._unreachable(error) from error
                yield state
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error

    def _stream(self, dag_id: str, run_id: str, interval: float) -> Iterator[str]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/wait"
        limits = httpx.Timeout(_SECONDS, read=_SILENCE_SECONDS)
        asked = {"interval": interval}
        with self.client.stream("GET", path, params=asked, timeout=limits) as answer:
            if answer.status_code != 200:
                answer.read()
                self._checked(answer)
            for line in answer.iter_lines():
                if line.strip():
                    yield str(json.loads(line)["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of the run, the earliest end first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000"
        found = list(self._get(path)["task_instances"])
        return sorted(found, key=lambda task: str(task.get("end_date") or "9"))

    def _get(self, path: str) -> dict[str, Any]:
        return dict(self._checked(self._send("GET", path)))

    def _send(
        self, method: str, path: str, *, json: object = None, timeout: float = _SECONDS
    ) -> httpx.Response:
        # A component may be healthy a moment before its listener takes a burst: try again once.
        try:
            return self.client.request(method, path, json=json, timeout=timeout)
        except httpx.ConnectError:
            time.sleep(1)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        try:
            return self.client.request(method, path, json=json, timeout=timeout)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.HTTPError) -> Failed:
        return Failed(
            Cause.INFRASTRUCTURE,
            f"The API server stopped answering ({type(error).__name__}: {error}).",
            log="logs/components/api-server.log",
        )

    def _checked(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            return answer.json()
        request = f"{answer.request.method} {answer.request.url.path}"
        raise Failed(
            Cause.INFRASTRUCTURE if answer.status_code >= 500 else Cause.CODE,
            f"The API server answered {answer.status_code} to {request}.",
            log="logs/components/api-server.log",
            lines=(answer.text[:500],),
        )
