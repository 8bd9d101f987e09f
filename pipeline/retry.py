"""Which failures of the source may pass, and how long to wait until the next attempt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import tenacity

__all__ = ["DEFAULT_RETRY", "Retry", "TryAgain", "seconds_to_wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how long to try, in seconds; `per_request` bounds one answer's whole time."""

    attempts: int = 6
    first_wait: float = 0.5
    max_wait: float = 60.0
    per_request: float = 60.0

    def wait(self, state: tenacity.RetryCallState) -> float:
        """What the source asked for, in bounds; else a wait that doubles, with jitter."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryAgain) and error.retry_after is not None:
            return min(error.retry_after, self.max_wait)
        backoff = tenacity.wait_exponential_jitter(
            multiplier=self.first_wait, max=self.max_wait, jitter=self.first_wait
        )
        return backoff(state)


DEFAULT_RETRY = Retry()


class TryAgain(Exception):
    """An attempt failed in a way that may pass; `retry_after` is what the source asked for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def seconds_to_wait(retry_after: str | None) -> float | None:
    """A Retry-After header, a number of seconds or an HTTP date; None where it says nothing."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _seconds_until(retry_after)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - datetime.now(timezone.utc)).total_seconds()
