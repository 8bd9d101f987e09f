"""The API client against a real server that misbehaves on demand."""

from __future__ import annotations

import json
import pickle
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import anyio
import pytest

from pipeline.errors import UpstreamError, UsageError
from pipeline.rate import RateLimit
from pipeline.retry import Retry
from pipeline.source import Meta, Page, Source, _tls
from tests.brewery_api.breweries import Brewery
from tests.brewery_api.server import Answer, BreweryServer
from tests.pipeline.conftest import QUICK, SMALL, Serve

PAGE = b'[{"id": "1"}]'


def ask_meta(url: str, *, retry: Retry | None = None) -> Meta:
    async def ask() -> Meta:
        async with Source(url, retry=retry) as source:
            return await source.meta()

    return anyio.run(ask)


def ask_page(
    url: str,
    number: int,
    *,
    per_page: int = 200,
    retry: Retry | None = None,
    limit: RateLimit | None = None,
) -> Page:
    async def ask() -> Page:
        async with Source(url, retry=retry, limit=limit) as source:
            return await source.page(number, per_page=per_page)

    return anyio.run(ask)


def test_total_is_the_sources_own(api: BreweryServer) -> None:
    assert ask_meta(api.url).total == SMALL


def test_pages_cover_the_source_once_in_id_order(api: BreweryServer) -> None:
    ids = [json.loads(line)["id"] for n in (1, 2, 3) for line in ask_page(api.url, n).lines]
    assert ids == sorted(row["id"] for row in api.breweries)


def test_a_page_behind_the_last_is_empty(api: BreweryServer) -> None:
    assert ask_page(api.url, 4).lines == ()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/breweries"])
def test_url_is_taken_with_and_without_the_version(api: BreweryServer, suffix: str) -> None:
    assert ask_page(api.url + suffix, 1).lines
    assert api.requests[0].startswith("/v1/breweries?page=1&")


@pytest.mark.parametrize("url", ["", "brewery.example", "ftp://x/", "http://", "http://x:bad"])
def test_what_is_no_http_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Source(url)


@pytest.mark.parametrize(
    "name, value", [("SSL_CERT_FILE", "/no/such/file"), ("HTTP_PROXY", "nonsense://x")]
)
def test_an_environment_that_cannot_be_used_is_a_usage_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    _tls.cache_clear()
    with pytest.raises(UsageError, match=name):
        Source("http://brewery.example")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_retried(api: BreweryServer, status: int) -> None:
    api.faults.extend([Answer(status, b"busy")] * (QUICK.attempts - 1))
    assert ask_page(api.url, 1, retry=QUICK).lines
    assert len(api.requests) == QUICK.attempts


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda: "0.3", id="seconds"),
        pytest.param(
            # HTTP dates have whole seconds: one and a half ahead is at least half a second ahead.
            lambda: format_datetime(datetime.now(timezone.utc) + timedelta(seconds=1.5), True),
            id="date",
        ),
    ],
)
def test_retry_after_is_waited_for(api: BreweryServer, value: Callable[[], str]) -> None:
    api.faults.append(Answer(429, b"", {"Retry-After": value()}))
    started = time.monotonic()
    ask_page(api.url, 1, retry=Retry(first_wait=0.0, max_wait=5.0))
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("value", ["-5", "soon", "nan", "", "Wed, 99 Foo"])
def test_a_senseless_retry_after_is_no_obstacle(api: BreweryServer, value: str) -> None:
    api.faults.append(Answer(503, b"", {"Retry-After": value}))
    assert ask_page(api.url, 1, retry=QUICK).lines


def test_retry_after_is_bounded(api: BreweryServer) -> None:
    api.faults.append(Answer(429, b"", {"Retry-After": "86400"}))
    assert ask_page(api.url, 1, retry=Retry(max_wait=0.05)).lines


def test_429_for_ever_ends_as_upstream_and_says_how_often_it_tried(api: BreweryServer) -> None:
    api.too_many_every = 1
    with pytest.raises(UpstreamError) as caught:
        ask_page(api.url, 2, retry=QUICK)
    assert f"{api.url}/v1/breweries?page=2" in str(caught.value)
    assert "(page 2): it answered 429, after 4 attempts" in str(caught.value)


def test_a_source_that_is_down_ends_as_upstream() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UpstreamError, match="ConnectError"):
            ask_meta(url, retry=QUICK)


def test_a_refusal_is_not_retried(api: BreweryServer) -> None:
    with pytest.raises(UpstreamError, match="answered 422"):
        ask_page(api.url, 1, per_page=201)
    assert len(api.requests) == 1


def test_an_answer_cut_off_is_fetched_again(api: BreweryServer) -> None:
    api.faults.append(Answer(200, PAGE, missing=5))
    assert len(ask_page(api.url, 1, retry=QUICK).lines) == 200


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, PAGE, delay=30), id="silent"),
        pytest.param(Answer(200, b"[" + b" " * 10_000, drip=0.05), id="dripping"),
    ],
)
def test_an_answer_that_takes_too_long_as_a_whole_is_given_up(
    api: BreweryServer, answer: Answer
) -> None:
    api.faults.extend([answer] * 2)
    impatient = Retry(attempts=2, first_wait=0.0, per_request=1.0)
    started = time.monotonic()
    with pytest.raises(UpstreamError, match=r"no whole answer in 1 s, after 2 attempts"):
        ask_page(api.url, 1, retry=impatient)
    assert len(api.requests) == 2
    assert time.monotonic() - started < 25


def test_an_answer_without_end_is_given_up(
    api: BreweryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.source.MAX_BODY_BYTES", 1000)
    with pytest.raises(UpstreamError, match="more than 1000 bytes"):
        ask_page(api.url, 1)


def test_redirects_in_a_ring_are_an_upstream_error(api: BreweryServer) -> None:
    api.faults.extend([Answer(302, b"", {"Location": "/v1/breweries"})] * 30)
    with pytest.raises(UpstreamError, match="TooManyRedirects"):
        ask_page(api.url, 1)


@pytest.mark.parametrize(
    "body, says",
    [
        pytest.param(b"<html><body>Down</body></html>", "not a JSON array", id="html"),
        pytest.param(b'{"message": "no"}', "not a JSON array", id="object"),
        pytest.param(b"", "not a JSON array", id="empty"),
        pytest.param(b'[{"id": "1"}, {"id": "2', "not whole JSON", id="truncated-in-a-row"),
        pytest.param(b'[{"id": "1"}', "not whole JSON", id="truncated-after-a-row"),
        pytest.param(b"[1 2]", "not whole JSON", id="no-comma"),
        pytest.param(b"[1,]", "not whole JSON", id="comma-at-the-end"),
        pytest.param(b"[1] [2]", "goes on after", id="two-arrays"),
        pytest.param(b'["a\nb"]', "not whole JSON", id="raw-line-break-in-text"),
        pytest.param(b'["\xff"]', "not UTF-8", id="not-utf-8"),
        pytest.param(b"[" * 100_000, "not whole JSON", id="nested-without-end"),
        pytest.param(b"[1,2,3]", "3 rows where 2 were asked", id="more-than-asked"),
    ],
)
def test_garbage_is_an_upstream_error_with_url_and_page(
    api: BreweryServer, body: bytes, says: str
) -> None:
    api.faults.extend([Answer(200, body, content_type="text/html")] * QUICK.attempts)
    with pytest.raises(UpstreamError, match=says) as caught:
        ask_page(api.url, 7, per_page=2)
    assert "/v1/breweries?page=7&per_page=2" in str(caught.value)
    assert "(page 7)" in str(caught.value)


def test_garbage_that_passes_is_asked_for_again(api: BreweryServer) -> None:
    api.faults.append(Answer(200, b"<html>We are back soon</html>", content_type="text/html"))
    assert len(ask_page(api.url, 1).lines) == 200


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"total": "many"}',
        b'{"total": null}',
        b'{"total": -1}',
        b'{"total": 1e999}',
        b'{"total": 1000000000001}',
    ],
)
def test_meta_without_a_total_is_an_upstream_error(api: BreweryServer, body: bytes) -> None:
    api.faults.extend([Answer(200, body)] * QUICK.attempts)
    with pytest.raises(UpstreamError, match="total"):
        ask_meta(api.url)


def test_counts_differ_when_a_brewery_moves_though_the_total_is_the_same(
    serve: Serve, small_rows: list[Brewery]
) -> None:
    server = serve(small_rows)
    before = ask_meta(server.url)
    assert ask_meta(server.url) == before
    server.breweries[0] = small_rows[0] | {"state_province": "Elsewhere"}
    after = ask_meta(server.url)
    assert (after.total, after.counts != before.counts) == (before.total, True)


def test_every_attempt_counts_towards_the_rate(api: BreweryServer) -> None:
    limit = RateLimit(3)
    api.faults.extend([Answer(500, b"")] * 2)
    ask_page(api.url, 1, retry=QUICK, limit=limit)
    assert limit.take() > 50


def test_all_requests_wait_when_one_is_asked_to(api: BreweryServer) -> None:
    api.faults.append(Answer(429, b"", {"Retry-After": "0.6"}))

    limit = RateLimit(0)

    async def ask() -> float:
        started = time.monotonic()
        async with Source(api.url, retry=QUICK, limit=limit) as source:
            async with anyio.create_task_group() as group:
                group.start_soon(source.page, 1)
                with anyio.fail_after(60):
                    while not limit.take():
                        await anyio.sleep(0.01)
                await source.page(2)
                waited = time.monotonic() - started
        return waited

    assert anyio.run(ask) >= 0.6


def test_upstream_errors_survive_pickling() -> None:
    error = UpstreamError("http://x/", "it answered 500", page=3)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
