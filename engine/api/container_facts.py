"""Fields of Container that look at one: files, configuration, results, images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.arguments import absolute, look
from engine.api.container import command_of
from engine.api.values import Named, Stat, entry_exists, entry_stat
from engine.calls import field
from engine.errors import EngineError
from engine.longtext import MOST_BYTES, LongText
from engine.model import (
    Container,
    ContainerService,
    Directory,
    File,
    Healthcheck,
    MountedDirectory,
    MountedSecret,
    MountedSocket,
    Port,
    Ran,
)

if TYPE_CHECKING:
    from engine.session import Session


@field("Container", "sync")
async def sync(session: Session, container: Container) -> None:
    """Work the container's files out; as recorded, of a failed chain nothing is told."""
    await container.rootfs.get()
    for mount in container.mounts:
        if isinstance(mount, MountedDirectory):
            await mount.source.snapshot.get()


@field("Container", "rootfs")
async def rootfs(session: Session, container: Container) -> Directory:
    """The root file system, without mounts."""
    return Directory(container.rootfs)


@field("Container", "directory")
async def directory(
    session: Session, container: Container, path: str, expand: bool = False
) -> Directory:
    """A directory of the container, mounts included."""
    target = absolute(container, path, expand)
    snapshot, inside = container.place(target)
    return Directory(snapshot, inside, shown=target)


@field("Container", "file")
async def file(session: Session, container: Container, path: str, expand: bool = False) -> File:
    """A file of the container, mounts included."""
    target = absolute(container, path, expand)
    snapshot, inside = container.place(target)
    return File(snapshot, inside, shown=target)


@field("Container", "exists")
async def exists(
    session: Session,
    container: Container,
    path: str,
    expected_type: str | None = None,
    do_not_follow_symlinks: bool = False,
    expand: bool = False,
) -> bool:
    """Whether a path is there, of the expected type."""
    target = absolute(container, path, expand)
    snapshot, inside = container.place(target)
    follow = not do_not_follow_symlinks
    return await look(
        session, snapshot, lambda root: entry_exists(root, inside, expected_type, follow)
    )


@field("Container", "stat")
async def stat(
    session: Session, container: Container, path: str, do_not_follow_symlinks: bool = False
) -> Stat:
    """What is known of a path."""
    target = container.absolute(path)
    snapshot, inside = container.place(target)
    follow = not do_not_follow_symlinks
    return await look(session, snapshot, lambda root: entry_stat(root, inside, follow, path))


async def _ran(container: Container) -> Ran:
    if container.ran is None:
        raise EngineError("no command has been set")
    return await container.ran.get()


def _answered(name: str, text: str | LongText) -> str | LongText:
    if isinstance(text, LongText) and text.size > MOST_BYTES:
        raise EngineError(
            f"the {name} of {text.size} bytes exceeds the limit of {MOST_BYTES}: "
            "send it to a file with redirect_stdout or redirect_stderr, and read what you need"
        )
    return text


@field("Container", "stdout")
async def stdout(session: Session, container: Container) -> str | LongText:
    """What the last command wrote to its standard output."""
    return _answered("stdout", (await _ran(container)).stdout)


@field("Container", "stderr")
async def stderr(session: Session, container: Container) -> str | LongText:
    """What the last command wrote to its standard error."""
    return _answered("stderr", (await _ran(container)).stderr)


@field("Container", "combinedOutput")
async def combined_output(session: Session, container: Container) -> str | LongText:
    """Both streams of the last command, in the order in which they were written."""
    return _answered("combined output", (await _ran(container)).combined)


@field("Container", "exitCode")
async def exit_code(session: Session, container: Container) -> int:
    """The last command's exit code."""
    return (await _ran(container)).exit_code


@field("Container", "platform")
async def platform(session: Session, container: Container) -> str:
    """The platform, such as linux/amd64."""
    await sync(session, container)
    return container.platform


@field("Container", "user")
async def user(session: Session, container: Container) -> str:
    """The user that commands run as; empty for root."""
    await sync(session, container)
    return container.user


@field("Container", "workdir")
async def workdir(session: Session, container: Container) -> str:
    """The working directory; empty for the root."""
    await sync(session, container)
    return container.workdir


@field("Container", "entrypoint")
async def entrypoint(session: Session, container: Container) -> list[str]:
    """The entrypoint."""
    await sync(session, container)
    return list(container.entrypoint)


@field("Container", "defaultArgs")
async def default_args(session: Session, container: Container) -> list[str]:
    """The default arguments."""
    await sync(session, container)
    return list(container.args)


@field("Container", "envVariable")
async def env_variable(session: Session, container: Container, name: str) -> str | None:
    """The value of an environment variable; None if it is not set, and for a secret."""
    await sync(session, container)
    # A process would see a name up to its first "=" only.
    return None if "=" in name else dict(container.env).get(name)


@field("Container", "envVariables")
async def env_variables(session: Session, container: Container) -> list[Named]:
    """The environment variables, in the order in which they were set."""
    await sync(session, container)
    return [Named(name, value) for name, value in container.env]


@field("Container", "label")
async def label(session: Session, container: Container, name: str) -> str | None:
    """The value of a label."""
    await sync(session, container)
    return dict(container.labels).get(name)


@field("Container", "labels")
async def labels(session: Session, container: Container) -> list[Named]:
    """The labels."""
    await sync(session, container)
    return [Named(name, value) for name, value in container.labels]


@field("Container", "exposedPorts")
async def exposed_ports(session: Session, container: Container) -> list[Port]:
    """The ports on which the container listens as a service."""
    await sync(session, container)
    return list(container.ports)


@field("Container", "mounts")
async def mounts(session: Session, container: Container) -> list[str]:
    """Where something is mounted; secrets and sockets are not listed."""
    await sync(session, container)
    hidden = (MountedSecret, MountedSocket)
    return [mount.target for mount in container.mounts if not isinstance(mount, hidden)]


@field("Container", "imageRef")
async def image_ref(session: Session, container: Container) -> str:
    """The reference, with its digest, of the image that the container was made from."""
    if not container.image_ref or _changed(container):
        raise EngineError(
            "Image reference can only be retrieved immediately after the 'Container.From' call. "
            "Error in fetching imageRef as the container image is changed"
        )
    return container.image_ref


def _changed(container: Container) -> bool:
    """Whether anything that is of an image is not as it was pulled any more."""
    pulled = container.pulled
    return pulled is None or pulled != replace(
        container,
        services=pulled.services,
        registry_auth=pulled.registry_auth,
        terminal_args=pulled.terminal_args,
        terminal_privileged=pulled.terminal_privileged,
    )


@field("Container", "dockerHealthcheck")
async def docker_healthcheck(session: Session, container: Container) -> Healthcheck | None:
    """The health check of the image's configuration."""
    await sync(session, container)
    return container.healthcheck


@field("Container", "asService")
async def as_service(
    session: Session,
    container: Container,
    args: Sequence[str] = (),
    use_entrypoint: bool = False,
    insecure_root_capabilities: bool = False,
    expand: bool = False,
    no_init: bool = False,
) -> ContainerService:
    """The container as a service."""
    await sync(session, container)
    # Without arguments the image's own command runs, entrypoint and all.
    whole = use_entrypoint or not (args or container.own_args)
    if not (args or container.args or container.entrypoint):
        raise EngineError("no service command has been set")
    return ContainerService(
        container=replace(container, ran=None),
        args=command_of(container, args, use_entrypoint=whole, expand=expand),
        privileged=insecure_root_capabilities,
        init=not no_init,
    )
