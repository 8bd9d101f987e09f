"""How often a process may ask the source: politeness that all its concurrent requests share."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable

from pipeline.errors import UsageError

__all__ = ["DEFAULT_JOBS", "DEFAULT_RATE", "RateLimit", "shared_limit"]

# Requests a minute that the public API grants, and pages that are fetched at once.
DEFAULT_RATE = 120
DEFAULT_JOBS = 4
MINUTE = 60.0


class RateLimit:
    """At most `per_minute` requests in any 60 seconds, as fast as they come; 0: no limit.

    A token bucket of that size would let nearly twice as many through in its first minute: the
    full bucket and what flows in meanwhile. So the times of the last requests are kept instead.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if per_minute < 0:
            raise UsageError(
                f"The rate is {per_minute} requests a minute: give 0, for no limit, or more."
            )
        self.per_minute = per_minute
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=per_minute)
        self._held_until = clock()

    def take(self) -> float:
        """Count a request and return 0 if it may go now; else the seconds to wait before asking."""
        now = self._clock()
        free = self._held_until
        if self.per_minute and len(self._sent) == self.per_minute:
            free = max(free, self._sent[0] + MINUTE)
        if now < free:
            return free - now
        self._sent.append(now)
        return 0.0

    def hold(self, seconds: float) -> None:
        """Let no request go for so long: the source asked one of them to wait, and means all."""
        self._held_until = max(self._held_until, self._clock() + seconds)


@functools.cache
def shared_limit(source: str, per_minute: int, *, part: int) -> RateLimit:
    """What all who ask that source at that rate in this process keep to.

    `part` sets those apart who have a share of their own, as each may be in a process of its own;
    0 is for who have the whole.
    """
    return RateLimit(per_minute)
