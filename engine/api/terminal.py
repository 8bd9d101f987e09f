"""The fields that open a terminal: of Container, Directory and Service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.calls import field
from engine.errors import EngineError
from engine.model import Container, ContainerService, Directory, MountedDirectory, Service

if TYPE_CHECKING:
    from engine.session import Session

_SHELL = ("sh",)
_IMAGE = "debian:bookworm-slim"
_FOLDER = "/src"


@field("Container", "withDefaultTerminalCmd")
async def with_default_terminal_cmd(
    session: Session,
    parent: Container,
    args: Sequence[str],
    insecure_root_capabilities: bool = False,
) -> Container:
    """The container whose terminal runs another program."""
    return replace(
        parent, terminal_args=tuple(args), terminal_privileged=insecure_root_capabilities
    )


@field("Container", "terminal")
async def terminal(
    session: Session,
    container: Container,
    cmd: Sequence[str] = (),
    insecure_root_capabilities: bool = False,
) -> Container:
    """Open a terminal in the container, which then is as it was: changes made there are not kept.

    It is opened each time that it is asked for.
    """
    await session.terminals.open(
        container,
        tuple(cmd) or container.terminal_args or _SHELL,
        privileged=insecure_root_capabilities or container.terminal_privileged,
    )
    return container


@field("Directory", "terminal")
async def directory_terminal(
    session: Session,
    directory: Directory,
    container: Container | None = None,
    cmd: Sequence[str] = (),
    insecure_root_capabilities: bool = False,
) -> Directory:
    """Open a terminal in a container with the directory mounted at /src, to be read only."""
    if container is None:
        empty = Container(platform=session.platform)
        container = await session.images.pull(empty, _IMAGE)
    mount = MountedDirectory(target=_FOLDER, source=directory, read_only=True)
    mounted = replace(container, workdir=_FOLDER).with_mount(mount)
    await session.terminals.open(
        mounted, tuple(cmd) or _SHELL, privileged=insecure_root_capabilities
    )
    return directory


@field("Service", "terminal")
async def service_terminal(session: Session, service: Service, cmd: Sequence[str] = ()) -> Service:
    """Open a terminal in the container that runs as the service, which is started for it."""
    if not isinstance(service, ContainerService):
        raise EngineError("a terminal needs a service that is a container")
    args = tuple(cmd) or service.container.terminal_args or _SHELL
    await session.terminals.open_within(service, args)
    return service
