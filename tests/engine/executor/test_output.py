"""What is left of secrets in a command's output: nothing, however the bytes arrive."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.executor.output import Output, Scrubber, text


def scrubbed(secrets: Sequence[bytes], writes: Iterable[bytes]) -> bytes:
    scrubber = Scrubber(secrets)
    return b"".join(scrubber.feed(write) for write in writes) + scrubber.end()


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


# Few letters, so that values begin, end and overlap within the text; the mask's is not among them.
letters = st.text(alphabet="ab\n", max_size=60).map(str.encode)
values = st.lists(st.text(alphabet="ab\n", min_size=1, max_size=6).map(str.encode), max_size=4)
cuts = st.lists(st.integers(0, 60), max_size=12)


@given(values, letters, cuts)
def test_any_split_of_the_bytes_gives_the_same_text(
    secrets: list[bytes], data: bytes, places: list[int]
) -> None:
    assert scrubbed(secrets, split(data, places)) == scrubbed(secrets, [data])


@given(values, letters, cuts)
def test_no_secret_survives(secrets: list[bytes], data: bytes, places: list[int]) -> None:
    out = scrubbed(secrets, split(data, places))
    assert not [secret for secret in secrets if secret in out]


@given(values, letters, cuts)
def test_what_is_not_secret_stays(secrets: list[bytes], data: bytes, places: list[int]) -> None:
    covered = [False] * len(data)
    for secret in secrets:
        for start in range(len(data) - len(secret) + 1):
            if data.startswith(secret, start):
                covered[start : start + len(secret)] = [True] * len(secret)
    kept = bytes(byte for byte, hidden in zip(data, covered, strict=True) if not hidden)
    assert scrubbed(secrets, split(data, places)).replace(b"***", b"") == kept


@pytest.mark.parametrize(
    ("secrets", "writes", "expected"),
    [
        pytest.param([b"hunter2"], [b"a hunter2 b"], b"a *** b", id="one write"),
        pytest.param([b"hunter2"], [b"a hun", b"t", b"er2 b"], b"a *** b", id="split in three"),
        pytest.param([b"hunter2"], [b"hunhunter2"], b"hun***", id="after its own beginning"),
        pytest.param([b"hunter2"], [b"a hunt"], b"a hunt", id="beginning at the end of the output"),
        pytest.param([b"aa"], [b"a", b"a"], b"***", id="one letter a write"),
        pytest.param([b"x"], [b"axbx"], b"a***b***", id="a single letter"),
        pytest.param([b"abc", b"abcdef"], [b"abc", b"def"], b"***", id="longer one in the second"),
        pytest.param(
            [b"abc", b"abcdef"], [b"abc", b"xyz"], b"***xyz", id="longer one did not come"
        ),
        pytest.param([b"abc", b"cde"], [b"abcde"], b"***", id="overlapping"),
        pytest.param([b"abc", b"cde"], [b"ab", b"cd", b"e"], b"***", id="overlapping and split"),
        pytest.param([b"ab", b"cd"], [b"abcd"], b"******", id="side by side"),
        pytest.param([b"l1\nl2\nl3"], [b"l1\n", b"l2\nl3\n"], b"***\n", id="several lines"),
        pytest.param([b"\xff\xfe"], [b"\xff", b"\xfe"], b"***", id="not text"),
        pytest.param([b""], [b"text"], b"text", id="an empty value hides nothing"),
        pytest.param([], [b"te", b"xt"], b"text", id="no secrets"),
    ],
)
def test_secret_is_replaced(secrets: list[bytes], writes: list[bytes], expected: bytes) -> None:
    assert scrubbed(secrets, writes) == expected


def test_text_without_a_beginning_of_a_secret_is_passed_on_at_once() -> None:
    scrubber = Scrubber([b"hunter2"])
    assert scrubber.feed(b"line\n") == b"line\n"
    assert scrubber.feed(b"line hun") == b"line "


def test_long_secret_does_not_make_the_scrubber_slow() -> None:
    scrubber = Scrubber([b"k" * 4096, bytes(range(32, 127)) * 200])
    started = time.process_time()
    for _ in range(160):
        scrubber.feed(b"a line of a build log, and another\n" * 1872)
    assert time.process_time() - started < 5  # 10 MB; quadratic work takes minutes


async def collected(output: Output, out: list[bytes], err: list[bytes]) -> Output:
    streams = []
    for writes in (out, err):
        stream = asyncio.StreamReader()
        for write in writes:
            stream.feed_data(write)
        stream.feed_eof()
        streams.append(stream)
    await output.collect(*streams)
    return output


@pytest.mark.anyio
async def test_streams_are_kept_apart_and_together() -> None:
    output = await collected(Output([b"pw"]), [b"out pw\n"], [b"err pw\n"])
    assert output.stdout == b"out ***\n"
    assert output.stderr == b"err ***\n"
    assert sorted(bytes(output.combined).splitlines()) == [b"err ***", b"out ***"]


@pytest.mark.anyio
async def test_only_the_end_is_kept_of_a_limited_output() -> None:
    lines = [f"line {number}\n".encode() for number in range(1000)]
    output = await collected(Output(limit=100), lines, [])
    assert output.stdout.endswith(b"line 999\n")
    assert len(output.stdout) <= 200


def test_bytes_that_are_no_text_do_not_fail() -> None:
    assert text(b"caf\xe9") == "caf\ufffd"
    assert text(bytearray("café".encode())) == "café"
