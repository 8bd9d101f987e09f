"""The HTTP side: routes, paging and sorting, 429 now and then, and faults that tests ask for."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.brewery_api.breweries import Brewery

DEFAULT_PER_PAGE, MAX_PER_PAGE = 50, 200


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, `delay` seconds late, its body all at once or `drip` seconds a byte.

    `missing` bytes of the promised length are never sent.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    missing: int = 0
    delay: float = 0.0
    drip: float = 0.0


Spoil = Callable[["BreweryServer", Answer], Answer]


class Refused(Exception):
    """A request that the API answers with 422."""


class BreweryServer(ThreadingHTTPServer):
    """Serves `breweries`; every `too_many_every`-th request gets 429 (0: none)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        breweries: Sequence[Brewery],
        *,
        too_many_every: int = 25,
        retry_after: str = "1",
    ) -> None:
        super().__init__(address, Handler)
        self.too_many_every = too_many_every
        self.retry_after = retry_after
        # Given out first, one for each request, whatever the request is.
        self.faults: deque[Answer] = deque()
        # Made of the honest answer to every Nth request.
        self.spoilt: list[tuple[int, Spoil]] = []
        # What happens just before the Nth request is answered.
        self.before: dict[int, Callable[[], None]] = {}
        # What the meta data says, be it true or not.
        self.total: int | None = None
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self.sorted: Callable[[str], list[Brewery]]
        self.change(breweries)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave whenever it likes, also between two requests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def change(self, breweries: Sequence[Brewery]) -> None:
        """Serve these from now on."""
        self.breweries = list(breweries)
        self.sorted = lru_cache(maxsize=8)(self._sorted)

    def answer(self, target: str) -> Answer:
        """The answer to a GET of `target`."""
        parts = urlsplit(target)
        if parts.path == "/health":
            return _json(200, {"status": "ok"})
        with self._lock:
            self.requests.append(target)
            number = len(self.requests)
            if self.faults:
                return self.faults.popleft()
            if self.too_many_every and number % self.too_many_every == 0:
                return Answer(429, b'{"message":"Too Many Requests"}', self._later())
            self.before.get(number, lambda: None)()
            # Chosen here: what a later request brings about is not for this one.
            spoils = [spoil for every, spoil in self.spoilt if number % every == 0]
        answer = self._honest(parts.path.rstrip("/"), parts.query)
        for spoil in spoils:
            answer = spoil(self, answer)
        return answer

    def _honest(self, path: str, query_string: str) -> Answer:
        query = {name: values[-1] for name, values in parse_qs(query_string).items()}
        try:
            return self._route(path, query)
        except Refused as error:
            return _json(422, {"message": str(error)})

    def _later(self) -> dict[str, str]:
        return {"Retry-After": self.retry_after}

    def _route(self, path: str, query: dict[str, str]) -> Answer:
        if path == "/v1/breweries":
            return self._page(query)
        if path == "/v1/breweries/meta":
            return self._meta(query)
        prefix, _, key = path.rpartition("/")
        found = [row for row in self.breweries if prefix == "/v1/breweries" and row["id"] == key]
        return _json(200, found[-1]) if found else _json(404, {"message": "Couldn't find it"})

    def _page(self, query: dict[str, str]) -> Answer:
        page, per_page = _paging(query)
        rows = self.sorted(query.get("sort", ""))
        return _json(200, rows[(page - 1) * per_page : page * per_page])

    def _meta(self, query: dict[str, str]) -> Answer:
        page, per_page = _paging(query)
        counts = {
            f"by_{name}": Counter(str(row[column]) for row in self.breweries)
            for name, column in (
                ("state", "state_province"),
                ("country", "country"),
                ("type", "brewery_type"),
            )
        }
        total = len(self.breweries) if self.total is None else self.total
        return _json(200, {"total": total, **counts, "page": page, "per_page": per_page})

    def _sorted(self, sort: str) -> list[Brewery]:
        rows = self.breweries
        # The first key named weighs most; Python's sort is stable, so it is applied last.
        for key in reversed(sort.split(",") if sort else []):
            name, _, order = key.partition(":")
            name = "brewery_type" if name == "type" else name
            if rows and name not in rows[0] or order not in ("", "asc", "desc"):
                raise Refused(f"cannot sort by {key}")
            rows = sorted(rows, key=lambda row: _comparable(row[name]), reverse=order == "desc")
        return rows


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    # Without this, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    timeout = 30
    server: BreweryServer

    def do_GET(self) -> None:
        answer = self.server.answer(self.path)
        try:
            self._send(answer)
        except ConnectionError:
            # The client would wait no longer.
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.delay)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        sent = answer.body[: len(answer.body) - answer.missing]
        for piece in [bytes([byte]) for byte in sent] if answer.drip else [sent]:
            self.wfile.write(piece)
            time.sleep(answer.drip)
        self.close_connection = self.close_connection or bool(answer.missing)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a page a line would drown a stack's log."""


@contextmanager
def serving(server: BreweryServer) -> Iterator[BreweryServer]:
    """Serve in a thread while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _paging(query: dict[str, str]) -> tuple[int, int]:
    try:
        page = int(query.get("page", 1))
        per_page = int(query.get("per_page", DEFAULT_PER_PAGE))
    except ValueError as error:
        raise Refused("page and per_page are numbers") from error
    if page < 1 or not 1 <= per_page <= MAX_PER_PAGE:
        raise Refused(f"page starts at 1, per_page is 1 to {MAX_PER_PAGE}")
    return page, per_page


def _comparable(value: object) -> tuple[bool, str]:
    return value is None, str(value)


def _json(status: int, value: object) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode())
