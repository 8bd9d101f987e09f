"""When a service is up: its ports answer, or its container's health check passes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.command import failure
from engine.errors import ExecError
from engine.model import ContainerService, Healthcheck
from engine.preparation import Prepared

if TYPE_CHECKING:
    from engine.session import Session

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.002, 0.25
_SECOND = 10**9
_INTERVAL = 5.0
_TRIES = 3
_TAIL = 64 * 1024


async def until_up(session: Session, service: ContainerService, ready: Prepared) -> None:
    """Wait until a service that was started is up. Raises ExecError for a failed health check."""
    check = service.container.healthcheck
    if check is None:
        await _ports_answer(session, service, ready.namespace.address)
    else:
        await _passed(session, service, ready, check)


async def _ports_answer(session: Session, service: ContainerService, address: str) -> None:
    for port in service.container.own_ports:
        if port.skip_healthcheck or port.protocol != "TCP":
            continue
        began = time.monotonic()
        while not await session.network.reaches(address, port.port):
            # A tenth of what it has taken: late by no more, and not asking all the time.
            pause = (time.monotonic() - began) / 10
            await asyncio.sleep(min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE))


async def _passed(
    session: Session, service: ContainerService, ready: Prepared, check: Healthcheck
) -> None:
    """As the real engine, which asks at the start only: failures count after the start period."""
    counting = time.monotonic() + check.start_period / _SECOND
    pause = (check.start_interval or check.interval) / _SECOND or _INTERVAL
    failures = 0
    while True:
        failed = await _failed(session, service, ready, check)
        if failed is None:
            return
        failures += time.monotonic() > counting
        if failures == (check.retries or _TRIES):
            raise failed
        await asyncio.sleep(pause)


async def _failed(
    session: Session, service: ContainerService, ready: Prepared, check: Healthcheck
) -> ExecError | None:
    shell = service.container.shell or ("/bin/sh", "-c")
    args = (*shell, *check.args) if check.shell else check.args
    output = session.output(service.container, limit=_TAIL)
    try:
        code = await session.execute_within(replace(ready.meta, args=args), ready, output)
        if not code:
            return None
        said = f"health check errored: exit code: {code}"
        return failure(session, args, said, exit_code=code, output=output, stripped=False)
    finally:
        output.close()
