"""A client of the Open Brewery DB API v1 that retries what may pass and names what will not."""

from __future__ import annotations

import functools
import json
import math
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import httpx
import tenacity

from pipeline.errors import UpstreamError, UsageError

__all__ = ["DEFAULT_RETRY", "MAX_PER_PAGE", "Page", "Retry", "Source", "array_elements"]

MAX_PER_PAGE = 200
# The API's default order is not promised to be stable from page to page; ids are unique.
STABLE_SORT = "id:asc"
MAX_BODY_BYTES = 64 * 1024 * 1024
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how long to try, in seconds; `per_request` bounds one answer's whole time."""

    attempts: int = 6
    first_wait: float = 0.5
    max_wait: float = 60.0
    per_request: float = 60.0


DEFAULT_RETRY = Retry()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the API: each line is one record's JSON as it came."""

    number: int
    lines: tuple[str, ...]


class _TryAgain(Exception):
    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Source:
    """The brewery API at one root URL, with or without its `/v1`; a context manager."""

    def __init__(self, url: str, *, retry: Retry | None = None) -> None:
        self.url = _root(url)
        self._retry = retry or DEFAULT_RETRY
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            follow_redirects=True,
            headers={"Accept": "application/json"},
            verify=_tls(),
        )

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def total(self) -> int:
        """How many breweries the source says it holds."""
        url = self._address("/v1/breweries/meta", {})
        try:
            meta = json.loads(self._get(url))
            total = int(meta["total"])
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise UpstreamError(url, "its meta data has no total") from error
        if total < 0:
            raise UpstreamError(url, f"its total is {total}")
        return total

    def page(self, number: int, *, per_page: int = MAX_PER_PAGE) -> Page:
        """One page, counted from 1, in the stable order."""
        params = {"page": str(number), "per_page": str(per_page), "sort": STABLE_SORT}
        url = self._address("/v1/breweries", params)
        text = self._get(url, page=number)
        try:
            lines = array_elements(text)
        except ValueError as error:
            raise UpstreamError(url, f"{error}, it begins {text[:40]!r}", page=number) from error
        if len(lines) > per_page:
            raise UpstreamError(url, f"{len(lines)} rows where {per_page} were asked", page=number)
        return Page(number, tuple(lines))

    def _address(self, path: str, params: Mapping[str, str]) -> str:
        # Written out here, so that errors show the address that was asked.
        query = "&".join(f"{key}={value}" for key, value in params.items())
        return f"{self.url}{path}" + (f"?{query}" if query else "")

    def _get(self, url: str, *, page: int | None = None) -> str:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._retry.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(_TryAgain),
            reraise=True,
        )
        try:
            body = retrying(self._fetch, url, page)
        except _TryAgain as error:
            reason = f"{error}, after {self._retry.attempts} attempts"
            raise UpstreamError(url, reason, page=page) from error
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise UpstreamError(url, f"the answer is not UTF-8: {error}", page=page) from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TryAgain) and error.retry_after is not None:
            return min(error.retry_after, self._retry.max_wait)
        backoff = tenacity.wait_exponential_jitter(
            multiplier=self._retry.first_wait,
            max=self._retry.max_wait,
            jitter=self._retry.first_wait,
        )
        return backoff(state)

    def _fetch(self, url: str, page: int | None) -> bytes:
        try:
            with self._client.stream("GET", url) as response:
                if response.status_code in _RETRIED_STATUSES:
                    raise _TryAgain(f"it answered {response.status_code}", _retry_after(response))
                if response.status_code != 200:
                    raise UpstreamError(url, f"it answered {response.status_code}", page=page)
                return self._body(response, url, page)
        except httpx.TransportError as error:
            raise _TryAgain(f"{type(error).__name__} ({error})") from error
        except httpx.HTTPError as error:
            raise UpstreamError(url, f"{type(error).__name__} ({error})", page=page) from error

    def _body(self, response: httpx.Response, url: str, page: int | None) -> bytes:
        # A read time-out is per chunk: a source that drips needs a bound on the whole.
        deadline = time.monotonic() + self._retry.per_request
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise UpstreamError(url, f"more than {MAX_BODY_BYTES} bytes", page=page)
            if time.monotonic() > deadline:
                raise _TryAgain(f"no whole answer in {self._retry.per_request:g} s")
        return bytes(body)


def array_elements(text: str) -> list[str]:
    """The elements of a JSON array, each on one line as written; ValueError for other text."""
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise ValueError("the answer is not a JSON array")
    position = _skip(text, position + 1)
    elements: list[str] = []
    if text[position : position + 1] != "]":
        position = _elements(decoder, text, position, elements)
    if _skip(text, position + 1) != len(text):
        raise ValueError("the answer goes on after its JSON array")
    return elements


def _elements(decoder: json.JSONDecoder, text: str, position: int, elements: list[str]) -> int:
    while True:
        try:
            end = decoder.raw_decode(text, position)[1]
        except (ValueError, RecursionError) as error:
            raise ValueError("the answer is not whole JSON") from error
        # Strings hold no raw line breaks in JSON, so these are only space between tokens.
        elements.append(text[position:end].replace("\r", " ").replace("\n", " "))
        position = _skip(text, end)
        mark = text[position : position + 1]
        if mark == "]":
            return position
        if mark != ",":
            raise ValueError("the answer is not whole JSON")
        position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the certificate store takes 50 ms, and every extraction opens a client.
    return httpx.create_ssl_context()


def _root(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError(f"The API URL {url!r} cannot be used: {error}.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"The API URL {url!r} must start with http:// or https:// and a host.")
    return re.sub(r"(/v1(/breweries)?)?/*$", "", str(parsed).rstrip("/"))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, given as a number or as an HTTP date."""
    value: Any = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - datetime.now(timezone.utc)).total_seconds()
