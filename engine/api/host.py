"""Fields of Host: files, sockets and ports of the client's machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.api.service import forwards
from engine.calls import field
from engine.errors import EngineError
from engine.hostfiles import host_directory, host_file
from engine.model import (
    ContainerService,
    Directory,
    File,
    HostService,
    Service,
    Socket,
    Tunnel,
    service_ports,
)
from engine.selection import Selection

if TYPE_CHECKING:
    from engine.session import Session


class Host:
    """The client's machine."""


@field("Query", "host")
async def host(session: Session, _: None) -> Host:
    """The client's machine."""
    return Host()


@field("Host", "directory")
async def directory(
    session: Session,
    _: Host,
    path: str,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    gitignore: bool = False,
) -> Directory:
    """A folder of the client's machine."""
    selection = Selection(_local(include), _local(exclude), gitignore)
    return host_directory(session, session.host_path(path), selection)


def _local(patterns: Sequence[str]) -> tuple[str, ...]:
    """As recorded: patterns that lead out of a folder name nothing, and its own name all of it."""
    found = []
    for pattern in patterns or ():
        body = pattern.removeprefix("!")
        place = os.path.normpath(body)
        if body and not place.startswith("/") and place.split("/")[0] != "..":
            mark = pattern[: len(pattern) - len(body)]
            found.append(mark + ("*" if place == "." else place))
    return tuple(found)


@field("Host", "file")
async def file(session: Session, _: Host, path: str) -> File:
    """A file of the client's machine."""
    return host_file(session, session.host_path(path))


@field("Host", "findUp")
async def find_up(session: Session, _: Host, name: str) -> str | None:
    """The path of the nearest `name` in the session's folder or above it."""
    for folder in (session.settings.workdir, *session.settings.workdir.parents):
        if (folder / name).exists():
            return str(folder / name)
    return None


@field("Host", "unixSocket")
async def unix_socket(session: Session, _: Host, path: str) -> Socket:
    """A unix socket of the client's machine."""
    return Socket(str(session.host_path(path)))


@field("Host", "service")
async def service(
    session: Session, _: Host, ports: Sequence[dict[str, Any]], host: str = "localhost"
) -> Service:
    """Ports of the client's machine, for containers."""
    if not ports:
        raise EngineError("no ports specified")
    return HostService(host=host, ports=forwards(ports))


@field("Host", "tunnel")
async def tunnel(
    session: Session,
    _: Host,
    service: Service,
    native: bool = False,
    ports: Sequence[dict[str, Any]] = (),
) -> Service:
    """A service's ports on the client's machine."""
    if not isinstance(service, ContainerService):
        raise EngineError("tunneling to non-Container services is not supported")
    if not (ports or service_ports(service)):
        raise EngineError("no ports to forward")
    return Tunnel(service=service, ports=forwards(ports), native=native)
