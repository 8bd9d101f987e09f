"""The API client against a real server that misbehaves on demand."""

from __future__ import annotations

import json
import pickle
import socket
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UpstreamError, UsageError
from pipeline.source import Retry, Source, array_elements
from tests.brewery_api.server import Answer, BreweryServer
from tests.pipeline.conftest import QUICK, SMALL

PAGE = b'[{"id": "1"}]'


def test_total_is_the_sources_own(api: BreweryServer) -> None:
    with Source(api.url) as source:
        assert source.total() == SMALL


def test_pages_cover_the_source_once_in_id_order(api: BreweryServer) -> None:
    with Source(api.url) as source:
        ids = [json.loads(line)["id"] for n in (1, 2, 3) for line in source.page(n).lines]
    assert ids == sorted(row["id"] for row in api.breweries)


def test_a_page_behind_the_last_is_empty(api: BreweryServer) -> None:
    with Source(api.url) as source:
        assert source.page(4).lines == ()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/breweries"])
def test_url_is_taken_with_and_without_the_version(api: BreweryServer, suffix: str) -> None:
    with Source(api.url + suffix) as source:
        assert source.url == api.url


@pytest.mark.parametrize("url", ["", "brewery.example", "ftp://x/", "http://", "http://x:bad"])
def test_what_is_no_http_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Source(url)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_retried(api: BreweryServer, status: int) -> None:
    api.faults.extend([Answer(status, b"busy")] * (QUICK.attempts - 1))
    with Source(api.url, retry=QUICK) as source:
        assert source.page(1).lines
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
def test_retry_after_is_waited_for(api: BreweryServer, value: object) -> None:
    assert callable(value)
    api.faults.append(Answer(429, b"", {"Retry-After": value()}))
    started = time.monotonic()
    with Source(api.url, retry=Retry(first_wait=0.0, max_wait=5.0)) as source:
        source.page(1)
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("value", ["-5", "soon", "nan", "", "Wed, 99 Foo"])
def test_a_senseless_retry_after_is_no_obstacle(api: BreweryServer, value: str) -> None:
    api.faults.append(Answer(503, b"", {"Retry-After": value}))
    with Source(api.url, retry=QUICK) as source:
        assert source.page(1).lines


def test_retry_after_is_bounded(api: BreweryServer) -> None:
    api.faults.append(Answer(429, b"", {"Retry-After": "86400"}))
    with Source(api.url, retry=Retry(max_wait=0.05)) as source:
        assert source.page(1).lines


def test_429_for_ever_ends_as_upstream_and_says_how_often_it_tried(api: BreweryServer) -> None:
    api.too_many_every = 1
    with Source(api.url, retry=QUICK) as source, pytest.raises(UpstreamError) as caught:
        source.page(2)
    assert f"{api.url}/v1/breweries?page=2" in str(caught.value)
    assert "(page 2): it answered 429, after 4 attempts" in str(caught.value)


def test_a_source_that_is_down_ends_as_upstream() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Source(url, retry=QUICK) as source, pytest.raises(UpstreamError, match="ConnectError"):
            source.total()


def test_a_refusal_is_not_retried(api: BreweryServer) -> None:
    with Source(api.url) as source, pytest.raises(UpstreamError, match="answered 422"):
        source.page(1, per_page=201)
    assert len(api.requests) == 1


def test_an_answer_cut_off_is_fetched_again(api: BreweryServer) -> None:
    api.faults.append(Answer(200, PAGE, missing=5))
    with Source(api.url, retry=QUICK) as source:
        assert len(source.page(1).lines) == 200


def test_an_answer_that_takes_too_long_as_a_whole_is_given_up(api: BreweryServer) -> None:
    impatient = Retry(attempts=2, first_wait=0.0, per_request=0.0)
    with Source(api.url, retry=impatient) as source, pytest.raises(UpstreamError, match="0 s"):
        source.page(1)
    assert len(api.requests) == 2


def test_an_answer_without_end_is_given_up(
    api: BreweryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.source.MAX_BODY_BYTES", 1000)
    with Source(api.url) as source, pytest.raises(UpstreamError, match="more than 1000 bytes"):
        source.page(1)


def test_redirects_in_a_ring_are_an_upstream_error(api: BreweryServer) -> None:
    api.faults.extend([Answer(302, b"", {"Location": "/v1/breweries"})] * 30)
    with Source(api.url) as source, pytest.raises(UpstreamError, match="TooManyRedirects"):
        source.page(1)


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
    api.faults.append(Answer(200, body, content_type="text/html"))
    with Source(api.url) as source, pytest.raises(UpstreamError, match=says) as caught:
        source.page(7, per_page=2)
    assert "/v1/breweries?page=7&per_page=2" in str(caught.value)
    assert "(page 7)" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"total": "many"}', b'{"total": -1}'])
def test_meta_without_a_total_is_an_upstream_error(api: BreweryServer, body: bytes) -> None:
    api.faults.append(Answer(200, body))
    with Source(api.url) as source, pytest.raises(UpstreamError, match="total"):
        source.total()


def test_records_are_kept_as_they_were_written() -> None:
    text = '[ {"a" : 1.50,\r\n "a":2e0} ,null,"\\u2028 é"\n]\n'
    assert array_elements(text) == ['{"a" : 1.50,   "a":2e0}', "null", '"\\u2028 é"']


leaves = st.none() | st.floats(allow_nan=False) | st.text(max_size=5)
rows = st.lists(leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.text(), leaves))


@settings(deadline=None, max_examples=50)
@given(rows, st.integers(0, 3))
def test_elements_of_any_array_read_back_as_that_array(rows: list[object], indent: int) -> None:
    elements = array_elements(json.dumps(rows, indent=indent or None, ensure_ascii=indent == 1))
    assert [json.loads(element) for element in elements] == rows
    assert not any("\n" in element for element in elements)


def test_upstream_errors_survive_pickling() -> None:
    error = UpstreamError("http://x/", "it answered 500", page=3)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
