"""What is left of secrets in a command's output: nothing, however the bytes arrive."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.executor.scrubber import Scrubber


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
    for secret in {value for each in secrets for value in (each, each.strip()) if value}:
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


@pytest.mark.parametrize(
    ("secret", "data", "expected"),
    [
        pytest.param(b"hunter2\n", b"a hunter2 b", b"a *** b", id="newline left out"),
        pytest.param(b"hunter2\n", b"a hunter2\nb", b"a ***b", id="newline written"),
        pytest.param(b" \n", b"a \nb \n", b"a***b***", id="nothing but white space"),
    ],
)
def test_secret_counts_without_white_space_around_it(
    secret: bytes, data: bytes, expected: bytes
) -> None:
    assert scrubbed([secret], [data]) == expected


def test_endless_run_of_a_value_that_overlaps_itself_is_not_held() -> None:
    scrubber = Scrubber([b"00000000"])
    passed = [scrubber.feed(b"0" * 10_000) for _ in range(100)]
    assert b"".join(passed) == b"***"
    assert len(scrubber.end()) == 0
    assert scrubbed([b"0000"], [b"00", b"000", b"0", b"1", b"0000"]) == b"***1***"
