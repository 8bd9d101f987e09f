"""An engine spoken to without the SDK: what is sent to it may be anything."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.engine.machine import family


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    pid: int
    port: int
    token: str

    @property
    def authorization(self) -> str:
        """The header's value for its token."""
        return "Basic " + base64.b64encode(f"{self.token}:".encode()).decode()

    def post(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, path: str = "/query"
    ) -> tuple[int, bytes]:
        """Status and body of the answer; `headers` replace those of a client that may ask."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            given = {"Authorization": self.authorization, **(headers or {})}
            connection.request("POST", path, body, {k: v for k, v in given.items() if v})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def query(self, text: str) -> Any:
        """The GraphQL response to a query."""
        status, body = self.post(json.dumps({"query": text}).encode())
        assert status == 200, body
        return json.loads(body)

    def error(self, text: str) -> dict[str, Any]:
        """The one error of a query that cannot be answered."""
        response = self.query(text)
        assert response["data"] is None
        [error] = response["errors"]
        assert set(error) == {"message", "locations", "path", "extensions"}
        assert isinstance(error["message"], str) and error["message"]
        return dict(error)

    def connect(self) -> socket.socket:
        """A connection that has said nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), 30)

    @property
    def answers(self) -> bool:
        """Whether it answers as it should."""
        return isinstance(self.query("{version}")["data"]["version"], str)

    @property
    def server(self) -> int:
        """The process that answers: the biggest."""
        return max((process.pid for process in family(self.pid)), key=peak_megabytes)

    @property
    def peak_megabytes(self) -> float:
        """The most memory that it had resident at a time."""
        return peak_megabytes(self.server)


def peak_megabytes(pid: int) -> float:
    """The most memory that a process had resident at a time; nothing of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    # A zombie has a status, but no memory of which it could tell.
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(peak[1]) / 1024 if peak else 0


@contextmanager
def started(engine_bin: Path, env: Mapping[str, str], log: Path) -> Iterator[Engine]:
    """An engine, until the block ends; its log goes to a file."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [engine_bin, "session"],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield Engine(process.pid, told["port"], told["session_token"])
        finally:
            try:
                process.communicate(timeout=120)  # closes its standard input
            finally:
                process.kill()
                process.wait()
