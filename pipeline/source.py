"""A client of the Open Brewery DB API v1 that retries what may pass and names what will not."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import anyio
import httpx
import tenacity
from anyio.to_thread import run_sync

from pipeline.errors import UpstreamError, UsageError
from pipeline.json_array import array_elements
from pipeline.rate import RateLimit
from pipeline.retry import DEFAULT_RETRY, Retry, TryAgain, seconds_to_wait

__all__ = ["MAX_PER_PAGE", "Meta", "Page", "Source", "root_url"]

MAX_PER_PAGE = 200
# The API's default order is not promised to be stable from page to page; ids are unique.
STABLE_SORT = "id:asc"
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_TOTAL = 10**12
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)
_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

Read = TypeVar("Read")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Meta:
    """What the source counts: all breweries, and a digest of its counts by place and type."""

    total: int
    counts: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the API: each line is one record's JSON as it came."""

    number: int
    lines: tuple[str, ...]


class Source:
    """The brewery API at one root URL, with or without its `/v1`; an async context manager."""

    def __init__(
        self, url: str, *, limit: RateLimit | None = None, retry: Retry | None = None
    ) -> None:
        self.url = root_url(url)
        self._limit = limit or RateLimit(0)
        self._retry = retry or DEFAULT_RETRY
        self._client = _client()

    async def __aenter__(self) -> Source:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def meta(self) -> Meta:
        """How many breweries the source says it holds."""
        url = self._address("/v1/breweries/meta", {})
        return await self._get(url, _read_meta)

    async def page(self, number: int, *, per_page: int = MAX_PER_PAGE) -> Page:
        """One page, counted from 1, in the stable order."""
        params = {"page": str(number), "per_page": str(per_page), "sort": STABLE_SORT}
        url = self._address("/v1/breweries", params)
        lines = await self._get(url, array_elements, page=number)
        if len(lines) > per_page:
            raise UpstreamError(url, f"{len(lines)} rows where {per_page} were asked", page=number)
        return Page(number, tuple(lines))

    def _address(self, path: str, params: Mapping[str, str]) -> str:
        # Written out here, so that errors show the address that was asked.
        query = "&".join(f"{key}={value}" for key, value in params.items())
        return f"{self.url}{path}" + (f"?{query}" if query else "")

    async def _get(self, url: str, read: Callable[[str], Read], *, page: int | None = None) -> Read:
        retrying = tenacity.AsyncRetrying(
            sleep=anyio.sleep,
            stop=tenacity.stop_after_attempt(self._retry.attempts),
            wait=self._retry.wait,
            retry=tenacity.retry_if_exception_type(TryAgain),
            before_sleep=functools.partial(self._before_next, url),
            reraise=True,
        )
        try:
            return await retrying(self._attempt, url, read, page)
        except TryAgain as error:
            reason = f"{error}, after {self._retry.attempts} attempts"
            raise UpstreamError(url, reason, page=page) from error

    async def _attempt(self, url: str, read: Callable[[str], Read], page: int | None) -> Read:
        await self._turn()
        try:
            with anyio.fail_after(self._retry.per_request):
                body = await self._fetch(url, page)
        except TimeoutError as error:
            raise TryAgain(f"no whole answer in {self._retry.per_request:g} s") from error
        # In a thread: a page of long texts would hold up the others, and Ctrl-C.
        return await run_sync(_decoded, body, read)

    async def _turn(self) -> None:
        told = False
        while seconds := self._limit.take():
            if seconds > 1 and not told:
                log.info("source: waiting %.0f s until it may be asked again", seconds)
                told = True
            await anyio.sleep(seconds)

    def _before_next(self, url: str, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryAgain) and error.retry_after is not None:
            self._limit.hold(state.upcoming_sleep)
        log.info(
            "source: attempt %s of %s at %s: %s; the next in %.1f s",
            state.attempt_number,
            self._retry.attempts,
            url,
            error,
            state.upcoming_sleep,
        )

    async def _fetch(self, url: str, page: int | None) -> bytes:
        try:
            async with self._client.stream("GET", url) as response:
                if response.status_code in _RETRIED_STATUSES:
                    raise TryAgain(
                        f"it answered {response.status_code}",
                        seconds_to_wait(response.headers.get("Retry-After")),
                    )
                if response.status_code != 200:
                    raise UpstreamError(url, f"it answered {response.status_code}", page=page)
                return await _body(response, url, page)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise TryAgain(f"{type(error).__name__} ({error})") from error
        except httpx.HTTPError as error:
            raise UpstreamError(url, f"{type(error).__name__} ({error})", page=page) from error


async def _body(response: httpx.Response, url: str, page: int | None) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise UpstreamError(url, f"more than {MAX_BODY_BYTES} bytes", page=page)
    return bytes(body)


def _decoded(body: bytes, read: Callable[[str], Read]) -> Read:
    # What is no JSON of the API may be a proxy's page that passes, or an answer cut off.
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise TryAgain(f"the answer is not UTF-8: {error}") from error
    try:
        return read(text)
    except ValueError as error:
        raise TryAgain(f"{error}, it begins {text[:40]!r}") from error


def _read_meta(text: str) -> Meta:
    try:
        document = json.loads(text)
        total = int(document["total"])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise ValueError("its meta data has no total") from error
    if not 0 <= total <= MAX_TOTAL:
        raise ValueError(f"its total is {str(total)[:20]}")
    counts = {name: value for name, value in document.items() if name.startswith("by_")}
    canonical = json.dumps(counts, sort_keys=True).encode()
    return Meta(total, hashlib.sha256(canonical).hexdigest())


def _client() -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            timeout=_TIMEOUT,
            follow_redirects=True,
            headers={"Accept": "application/json", "User-Agent": "brewline"},
            verify=_tls(),
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            "The environment names a proxy or certificates that cannot be used: "
            f"{error}. See HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
        ) from error


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the certificate store takes 50 ms, and every extraction opens a client.
    return httpx.create_ssl_context()


def root_url(url: str) -> str:
    """The API's root without its `/v1`; UsageError for what is no HTTP URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError(f"The API URL {url!r} cannot be used: {error}.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"The API URL {url!r} must start with http:// or https:// and a host.")
    return re.sub(r"(/v1(/breweries)?)?/*$", "", str(parsed).rstrip("/"))
