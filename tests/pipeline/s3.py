"""A real S3 server on loopback: moto's, as strict about conditional writes as S3 is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

__all__ = ["CREDENTIALS", "make_bucket", "serving_s3"]

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "brewline",
    "AWS_SECRET_ACCESS_KEY": "brewline",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class QuietHandler(WSGIRequestHandler):
    """One connection of which nothing is logged."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: a line a request would drown a test's output."""


class OneAtATime:
    """moto, one request at a time: it checks a condition and writes in two steps."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # werkzeug names a server too, and clients refuse an answer that names two.
            named = [(name, value) for name, value in headers if name.lower() != "server"]
            return start_response(status, named, *rest)

        with self._lock:
            return list(self._moto(environ, start))


@contextmanager
def serving_s3() -> Iterator[str]:
    """The URL of a server that lives while the block runs."""
    server = make_server("127.0.0.1", 0, OneAtATime(), threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_bucket(endpoint: str, name: str) -> str:
    """Make a bucket; returns its URL."""
    # moto asks for no signature, so no client library is needed that the pipeline does not use.
    httpx.put(f"{endpoint}/{name}", timeout=60).raise_for_status()
    return f"s3://{name}"
