"""A registry of one repository that does as a test tells it: hang, lie, break off, refuse."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine.oci.manifest import INDEX_TYPE

Misdeed = Callable[["Handler"], bool]
"""What is done to a request; True if it was answered, or is not to be."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Crooked

    def handle_one_request(self) -> None:
        """Nobody is told when a client hangs up."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def setup(self) -> None:
        """Let no connection outlive its test."""
        super().setup()
        self.connection.settimeout(20)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; `_` in names of headers stands for `-`."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def break_off(self) -> None:
        """Hang up."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()

    def _do(self) -> None:
        server = self.server
        if self.path == "/v2/" and not server.mute:
            self.reply(200)
            return
        with server.lock:
            server.seen.append((self.command, self.path, dict(self.headers)))
            misdeed = server.misdeeds.pop(0) if server.misdeeds else None
        if misdeed is not None and misdeed(self):
            return
        name = self.path.partition("?")[0].rpartition("/")[2]
        if "/referrers/" in self.path and server.referrers:
            self._referrers(server.referrers)
        elif self.command == "POST":
            self.reply(202, Location="/v2/a/blobs/uploads/1")
        elif self.command == "PUT":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.blobs[digest(body)] = body
            self.reply(201)
        elif name not in server.blobs:
            self.reply(404)
        else:
            self._content(server.blobs[name])

    def _referrers(self, pages: list[tuple[bytes, str]]) -> None:
        """The page that is asked for, and where the next one is."""
        number = int(self.path.partition("?page=")[2] or 0)
        if number >= len(pages):
            self.reply(404)
            return
        body, link = pages[number]
        following = {"Link": f'<{link}>; rel="next"'} if link else {}
        self.reply(200, body, Content_Type=INDEX_TYPE, **following)

    def _content(self, body: bytes) -> None:
        asked = self.headers.get("Range", "")
        if not asked or not self.server.ranges:
            self.reply(200, body, Docker_Content_Digest=digest(body))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.reply(206, body[start:], Content_Range=span)

    do_GET = do_HEAD = do_POST = do_PUT = _do


class Crooked(ThreadingHTTPServer):
    """The registry: `misdeeds` are done to the requests in their order, the rest are answered.

    `referrers` are the pages of its API of that name, each with where it says the next one is;
    without any there is no such API.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.blobs: dict[str, bytes] = {}
        self.referrers: list[tuple[bytes, str]] = []
        self.misdeeds: list[Misdeed] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.ranges = True
        self.mute = False
        self.connections = 0
        self.ended = threading.Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count connections."""
        self.connections += 1
        super().process_request(request, client_address)

    @property
    def address(self) -> str:
        """Its `host:port`."""
        return f"127.0.0.1:{self.server_address[1]}"

    def keep(self, body: bytes) -> str:
        """Hold a blob; its digest."""
        self.blobs[digest(body)] = body
        return digest(body)

    def asked(self, method: str) -> list[str]:
        """The paths that were asked for by a method."""
        return [path for seen, path, _ in self.seen if seen == method]

    def hang(self, _: Handler) -> bool:
        """Say nothing until the end of the test."""
        self.ended.wait(20)
        return True


def digest(body: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def refuse(status: int, **headers: str) -> Misdeed:
    """Answer with an error."""

    def misdeed(handler: Handler) -> bool:
        handler.reply(status, b'{"errors":[{"code":"X","message":"not today"}]}', **headers)
        return True

    return misdeed


def cut(body: bytes, after: int) -> Misdeed:
    """Promise `body` and hang up after some of it."""

    def misdeed(handler: Handler) -> bool:
        handler.reply(200, body[:after], Content_Length=str(len(body)))
        handler.break_off()
        return True

    return misdeed


def hang_up(handler: Handler) -> bool:
    """Say nothing at all and go."""
    handler.break_off()
    return True


@contextmanager
def running() -> Iterator[Crooked]:
    """A registry for one test."""
    with Crooked() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
