"""Services that are up, and the work that needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from engine.errors import EngineError
from engine.preparation import Prepared


@dataclass(frozen=True, slots=True)
class Up:
    """Where a service that came up is reached; a tunnel has no address for containers."""

    hostname: str
    address: str
    ports: tuple[int, ...]
    ready: Prepared | None = None
    """The container that runs, where it is one."""


@dataclass(slots=True, eq=False)
class Running:
    """A service that is up, and the task that holds it up."""

    up: Up
    work: asyncio.Task[None]
    clients: int = 0
    kept: bool = False
    leaving: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """The services of a container, by alias, and the names of all addresses that it may reach."""

    services: list[tuple[str, Running]]
    hosts: list[tuple[str, str]]

    @asynccontextmanager
    async def needed(self) -> AsyncIterator[None]:
        """Give up what is done here as soon as one of the services exits. Raises EngineError."""
        worker = asyncio.current_task()
        assert worker is not None
        exited: list[str] = []

        def tell(alias: str, running: Running, work: asyncio.Task[None]) -> None:
            if not exited:
                worker.cancel()
            exited.append(_exited(alias, running.up.hostname, work))

        told = [(running.work, partial(tell, alias, running)) for alias, running in self.services]
        for work, callback in told:
            work.add_done_callback(callback)
        try:
            yield
        except asyncio.CancelledError:
            if exited and not worker.uncancel():
                raise EngineError(exited[0]) from None
            raise
        finally:
            for work, callback in told:
                work.remove_done_callback(callback)


def _exited(alias: str, hostname: str, work: asyncio.Task[None]) -> str:
    said = f"bound service {hostname} (aliased as {alias}) exited"
    why = None if work.cancelled() else work.exception()
    return f"{said}: {why}" if why else said
