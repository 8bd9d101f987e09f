"""How the engine itself reaches a server that may be a service of the session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.model import PortForward, Service

if TYPE_CHECKING:
    from engine.session import Session

_PORTS = {"http": 80, "https": 443, "git": 9418, "ssh": 22}


@asynccontextmanager
async def reached(session: Session, url: str, service: Service | None) -> AsyncIterator[str]:
    """The URL under which a server is reached, while a service that is needed for it runs.

    It is another where the URL's host is a running service, to which a tunnel leads.
    """
    async with AsyncExitStack() as stack:
        if service is not None:
            await stack.enter_async_context(session.services.held(service))
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
            address = session.address_of(parts.hostname or "")
        except ValueError:  # whoever is to read it will say so
            address, port = None, 0
        if address is None or not port:
            yield url
            return
        from engine.forwarding import out_of_container  # seldom needed

        listening = out_of_container(session.network, address, PortForward(backend=port))
        local = await stack.enter_async_context(listening)
        user, at, _ = parts.netloc.rpartition("@")
        yield parts._replace(netloc=f"{user}{at}127.0.0.1:{local}").geturl()
