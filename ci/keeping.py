"""`--keep`: a stack that stays up after its run, for a user to look at."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import anyio
import dagger

from ci.compose import Compose
from ci.errors import UsageError
from ci.stage import Context

UI, UI_PORT = "api-server", 8080


async def keep(
    context: Context,
    compose: Compose,
    stack: Mapping[str, dagger.Service],
    verdict: Mapping[str, Any],
) -> None:
    """Keep the stack up, its UI on loopback, until its user ends the run."""
    context.tell("passed" if verdict["passed"] else str(verdict["failure"]["message"]))
    async with anyio.create_task_group() as group:
        for name, service in stack.items():
            if name not in compose.jobs:
                group.start_soon(service.start)
    port = dagger.PortForward(backend=UI_PORT, frontend=UI_PORT)
    await context.client.host().tunnel(stack[UI], ports=[port]).start()
    password = compose.services[UI].environment["ADMIN_PASSWORD"]
    context.tell(
        f"the stack is up: http://localhost:{UI_PORT}, user admin, password {password};"
        " Ctrl-C ends it"
    )
    await anyio.sleep_forever()


def require_free(port: int) -> None:
    """Raise UsageError where something listens already: better known before the run than after."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"`--keep` shows Airflow on port {port}, which is taken ({error.strerror}): "
                "stop what listens there."
            ) from None
