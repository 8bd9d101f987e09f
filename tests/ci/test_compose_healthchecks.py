"""The health checks of `compose.yaml`: the commands themselves, against a server of this test."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ci.compose import read_compose

COMPOSE = read_compose(Path(__file__).parents[2] / "compose.yaml", {})
HEALTHY = {
    "metadatabase": {"status": "healthy"},
    "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-01-01T00:00:00Z"},
    "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
    "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": "2026-01-01"},
}
Serve = Callable[[int, object], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers like Airflow's, and give its port."""
    servers: list[ThreadingHTTPServer] = []

    def started(status: int, body: object) -> int:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = json.dumps(body, separators=(",", ":")).encode()
                self.send_response(status if self.path.endswith("/health") else 404)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_port

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


def check(service: str, port: int) -> int:
    """The exit status of a service's check, asked of `port`."""
    healthcheck = COMPOSE.services[service].healthcheck
    assert healthcheck is not None
    command = list(healthcheck.command)
    for written in ("127.0.0.1/8080", "127.0.0.1/8974", "api-server/8080"):
        command[-1] = command[-1].replace(written, f"127.0.0.1/{port}")
    assert f"/{port}\n" in command[-1]
    return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode


@pytest.mark.parametrize("service", ["api-server", "scheduler", "dag-processor"])
def test_a_component_that_answers_well_is_healthy(serve: Serve, service: str) -> None:
    assert check(service, serve(200, HEALTHY)) == 0


@pytest.mark.parametrize(
    ("service", "status", "answer"),
    [
        ("api-server", 200, {**HEALTHY, "metadatabase": {"status": "unhealthy"}}),
        ("dag-processor", 200, {**HEALTHY, "dag_processor": {"status": "unhealthy"}}),
        ("dag-processor", 200, {**HEALTHY, "dag_processor": {"status": None}}),
        ("api-server", 500, {"detail": "broken"}),
        ("scheduler", 503, HEALTHY),
    ],
)
def test_a_component_that_says_otherwise_is_not(
    serve: Serve, service: str, status: int, answer: object
) -> None:
    assert check(service, serve(status, answer)) != 0


@pytest.mark.parametrize("service", ["api-server", "scheduler", "dag-processor"])
def test_a_component_that_does_not_listen_is_not_healthy(service: str) -> None:
    assert check(service, 1) != 0
