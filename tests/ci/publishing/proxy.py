"""Somebody between us and a true registry who cuts, refuses and lies as a test tells him."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Misdeed = Callable[["Handler"], bool]
"""What is done to a request before it is passed on; True if that is all that comes of it."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def reply(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        """Answer with what the registry said, or with something else."""
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "date", "server"):
                self.send_header(name, value)
        length = dict((name.lower(), value) for name, value in headers).get("content-length")
        head = self.command == "HEAD" and length
        self.send_header("Content-Length", length if head and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ask(self) -> tuple[int, bytes, list[tuple[str, str]]]:
        """What the registry says to the request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(self.server.behind, timeout=120)
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        connection.request(self.command, self.path, body, {**headers, "Host": self.server.address})
        answer = connection.getresponse()
        found = answer.status, answer.read(), answer.getheaders()
        connection.close()
        return found

    def hang_up(self) -> None:
        """Say nothing and go."""
        self.close_connection = True
        self.connection.close()

    def _do(self) -> None:
        misdeed = self.server.misdeed
        if misdeed is None or not misdeed(self):
            self.reply(*self.ask())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _do


class Proxy(ThreadingHTTPServer):
    """The one in between; `misdeed` is done to every request."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = behind
        self.misdeed: Misdeed | None = None

    @property
    def address(self) -> str:
        """Its `host:port`."""
        return f"127.0.0.1:{self.server_address[1]}"


def dies_before(method: str, part: str) -> Misdeed:
    """From the first such request on, nothing is answered any more."""
    dead = threading.Event()

    def misdeed(handler: Handler) -> bool:
        if handler.command == method and part in handler.path:
            dead.set()
        if dead.is_set():
            handler.hang_up()
        return dead.is_set()

    return misdeed


def limits(times: int, after: str) -> Misdeed:
    """So many requests for manifests are too many."""
    left = [times]

    def misdeed(handler: Handler) -> bool:
        if left[0] == 0 or "/manifests/" not in handler.path:
            return False
        left[0] -= 1
        handler.ask()
        body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
        handler.reply(429, body, [("Retry-After", after)])
        return True

    return misdeed


def forgets(method: str, part: str) -> Misdeed:
    """Such a request is answered as if it had been done."""

    def misdeed(handler: Handler) -> bool:
        if handler.command != method or part not in handler.path:
            return False
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.reply(201, b"", [])
        return True

    return misdeed


def lies_about(part: str) -> Misdeed:
    """Another document than the one that was asked for."""

    def misdeed(handler: Handler) -> bool:
        if handler.command != "GET" or part not in handler.path:
            return False
        status, body, headers = handler.ask()
        handler.reply(status, body + b" ", headers)
        return True

    return misdeed


def lists_first(entry: object) -> Misdeed:
    """One more entry in the list of what is attached."""

    def misdeed(handler: Handler) -> bool:
        if handler.command != "GET" or "/manifests/sha256-" not in handler.path:
            return False
        status, body, headers = handler.ask()
        if status == 200:
            index = json.loads(body)
            body = json.dumps({**index, "manifests": [entry, *index["manifests"]]}).encode()
        told = [each for each in headers if each[0] != "Docker-Content-Digest"]
        handler.reply(status, body, told)
        return True

    return misdeed


@contextmanager
def running(behind: str) -> Iterator[Proxy]:
    """A proxy for one test."""
    with Proxy(behind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
