"""Commands that take long: told of while they run, and ended when their time is over."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.progress import one_line

if TYPE_CHECKING:
    from engine.session import Session

HEARTBEAT_SECONDS = 30


class TimeOver(EngineError):
    """A command did not end within its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"no end after {seconds:g} s, which is the time limit: "
            "set BREWLINE_EXEC_TIMEOUT to more seconds, or to 0 for no limit"
        )


@asynccontextmanager
async def watched(session: Session, args: Sequence[str]) -> AsyncIterator[None]:
    """Tell every `HEARTBEAT_SECONDS` that a command still runs. Raises TimeOver past its limit."""
    limit = session.settings.exec_seconds
    beat = _Beat(lambda seconds: _tell(session, args, seconds))
    try:
        async with asyncio.timeout(limit) as time:
            yield
    except TimeoutError:
        if limit is None or not time.expired():
            raise
        raise TimeOver(limit) from None
    finally:
        beat.stop()


def _tell(session: Session, args: Sequence[str], seconds: int) -> None:
    shown = session.without_secrets(args)
    session.event("running", args=shown, seconds=seconds)
    print(f"still running after {seconds} s: {one_line(shown)}", file=sys.stderr, flush=True)


class _Beat:
    """Calls `tell` with the seconds that have passed, again and again until it is stopped."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._seconds = 0
        self._next()

    def _next(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._strike)

    def _strike(self) -> None:
        self._seconds += HEARTBEAT_SECONDS
        self._next()
        self._tell(self._seconds)

    def stop(self) -> None:
        self._timer.cancel()
