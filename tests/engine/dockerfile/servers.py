"""A web server of a test, with what it was asked for and how fast it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BLOCK = bytes(1 << 20)


@dataclass
class Server:
    """A running server: its address, and the paths that were asked for."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on loopback; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def files(folder: Path) -> Iterator[Server]:
    """A server of the files in a folder."""
    state = Server()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(partial(Handler, directory=str(folder))) as state.url:
        yield state


@contextmanager
def zeros(blocks: int, *, promised: int | None = None) -> Iterator[str]:
    """A server of one file of so many MiB; it may break its promise of how many come."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str((promised or blocks) * len(BLOCK)))
            self.end_headers()
            for _ in range(blocks):
                self.wfile.write(BLOCK)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Handler) as url:
        yield url
