"""Fields of Service, and what of Container and Host has to do with services."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.api.arguments import check_host_name
from engine.api.container_facts import as_service
from engine.calls import field
from engine.errors import EngineError
from engine.model import (
    Container,
    ContainerService,
    Port,
    PortForward,
    Service,
    Tunnel,
    service_ports,
)

if TYPE_CHECKING:
    from engine.session import Session


def forwards(ports: Sequence[dict[str, Any]]) -> tuple[PortForward, ...]:
    """Port forwards from their API form."""
    return tuple(
        PortForward(
            backend=port["backend"],
            frontend=port.get("frontend"),
            protocol=port.get("protocol") or "TCP",
        )
        for port in ports or ()
    )


@field("Service", "start", "sync")
async def start(session: Session, service: Service) -> None:
    """Start the service and keep it until it is stopped or the session ends."""
    await session.services.start(service)


@field("Service", "stop")
async def stop(session: Session, service: Service, kill: bool = False) -> None:
    """Stop the service; killed at once or, as it has time to end, after some seconds."""
    await session.services.stop(service, kill=kill)


@field("Service", "hostname")
async def hostname(session: Session, service: Service) -> str:
    """The name under which containers reach the service; of a tunnel, the client's loopback."""
    if isinstance(service, Tunnel):
        return (await session.services.start(service)).up.hostname
    return await session.services.hostname(service)


@field("Service", "withHostname")
async def with_hostname(session: Session, service: Service, hostname: str) -> Service:
    """The service under another name."""
    if isinstance(service, Tunnel):
        raise EngineError("a tunnel has no host name of its own")
    check_host_name(hostname)
    return replace(service, hostname=hostname)


@field("Service", "ports")
async def ports(session: Session, service: Service) -> list[Port]:
    """The ports of the service."""
    if isinstance(service, ContainerService):
        return list(service.container.own_ports)
    if isinstance(service, Tunnel):
        # Which port of the client it is may be known only once it is open.
        return [Port(port=n) for n in (await session.services.start(service)).up.ports]
    return [Port(port=p.backend, protocol=p.protocol) for p in service_ports(service)]


@field("Service", "endpoint")
async def endpoint(
    session: Session, service: Service, port: int | None = None, scheme: str = ""
) -> str:
    """Host and port, with the scheme before them when asked for; the first port by default."""
    if isinstance(service, Tunnel):
        up = (await session.services.start(service)).up
        host, found = up.hostname, list(up.ports)
    else:
        host = await session.services.hostname(service)
        found = [p.backend for p in service_ports(service)]
    if not (port or found):
        raise EngineError("no ports exposed")
    address = f"{host}:{port or found[0]}"
    return f"{scheme}://{address}" if scheme else address


@field("Service", "up")
async def up(
    session: Session,
    service: Service,
    ports: Sequence[dict[str, Any]] = (),
    random: bool = False,
) -> None:
    """Serve on the client's ports until the request is cancelled."""
    given = forwards(ports)
    tunnel = Tunnel(service=service, ports=given, native=not given and not random)
    await session.services.start(tunnel)
    try:
        await asyncio.Event().wait()
    finally:
        await session.services.stop(tunnel)


@field("Container", "up")
async def container_up(
    session: Session,
    container: Container,
    random: bool = False,
    ports: Sequence[dict[str, Any]] = (),
    args: Sequence[str] = (),
    use_entrypoint: bool = False,
    insecure_root_capabilities: bool = False,
    expand: bool = False,
    no_init: bool = False,
) -> None:
    """Run the container as a service on the client's ports until the request is cancelled."""
    service = await as_service(
        session,
        container,
        args,
        use_entrypoint=use_entrypoint,
        insecure_root_capabilities=insecure_root_capabilities,
        expand=expand,
        no_init=no_init,
    )
    await up(session, service, ports, random)
