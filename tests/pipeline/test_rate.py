"""No minute sees more requests than it may, however they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.rate import RateLimit


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_whole_minute_may_go_at_once_and_then_one_waits_for_the_first(clock: Clock) -> None:
    limit = RateLimit(120, clock=clock)
    assert [limit.take() for _ in range(120)] == [0.0] * 120
    clock.now += 20
    assert limit.take() == 40
    clock.now += 40
    assert limit.take() == 0


def test_without_a_limit_nothing_waits(clock: Clock) -> None:
    limit = RateLimit(0, clock=clock)
    assert not any(limit.take() for _ in range(1000))


def test_a_hold_is_for_all_and_the_longest_counts(clock: Clock) -> None:
    limit = RateLimit(0, clock=clock)
    limit.hold(30)
    limit.hold(10)
    assert limit.take() == 30
    clock.now += 30
    assert limit.take() == 0


def test_a_rate_below_nothing_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="-1 requests a minute"):
        RateLimit(-1)


@given(st.integers(1, 10), st.lists(st.floats(0, 50), max_size=200))
def test_no_window_of_a_minute_holds_more(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, clock=clock)
    sent: list[float] = []
    for pause in pauses:
        clock.now += pause
        while seconds := limit.take():
            clock.now += seconds
        sent.append(clock.now)
    for number in range(len(sent) - per_minute):
        # A request more than the limit comes a minute after the first of the window.
        assert sent[number + per_minute] - sent[number] >= 60 - 1e-9
