"""Keeping the store below its cap while an engine is at work, in a process of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

from engine.errors import ProcessError
from engine.process import run
from engine.settings import Settings

# An engine's start is not slowed down, and one that ends at once has hardly added anything.
_FIRST_SECONDS = 2.0
_PAUSE_SECONDS = 60.0
_LAST_SECONDS = 10.0
# However large the store is, no more than this share of one core's idle time.
_LARGEST_SHARE = 0.05


async def tidied(settings: Settings) -> None:
    """Have the store tidied now and then, until cancelled; what there is to say is said once."""
    told = False
    pause = _FIRST_SECONDS
    while True:
        await asyncio.sleep(pause)
        started = time.monotonic()
        said = await _tidy(settings)
        if said and not told:
            told = True
            print(said, end="", file=sys.stderr, flush=True)
        pause = max(_PAUSE_SECONDS, (time.monotonic() - started) / _LARGEST_SHARE)


async def tidied_at_last(settings: Settings) -> None:
    """Have a store tidied that may have outgrown its cap, before the next program adds to it.

    Programs that end within seconds never come to it otherwise.
    """
    from engine.usage import outgrown  # an engine's start does without it

    if not outgrown(settings):
        return
    with suppress(TimeoutError):  # the next engine goes on with it
        async with asyncio.timeout(_LAST_SECONDS):
            await _tidy(settings)


async def _tidy(settings: Settings) -> str:
    # The engine does not stand where it was started.
    env = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "BREWLINE_STORE": str(settings.store),
    }
    try:
        return await run(sys.executable, "-m", "engine", "tidy", env=env)
    except ProcessError as error:
        return f"the engine's store could not be tidied: {error.output.strip()}\n"
