"""A command for a container, the snapshots it starts from, and what its result depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ExecError
from engine.model import (
    Container,
    MountedCache,
    MountedDirectory,
    MountedFile,
    MountedSecret,
    MountedSocket,
    MountedTemp,
)
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.executor.output import Output
    from engine.session import Session

_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """A command for a container and how it is run."""

    args: tuple[str, ...]
    stdin: str = ""
    redirect_stdin: str = ""
    redirect_stdout: str = ""
    redirect_stderr: str = ""
    expect: str = "SUCCESS"
    privileged: bool = False
    init: bool = True
    network: bool = True


@dataclass(frozen=True, slots=True)
class Inputs:
    """The snapshots that a container is made of: its root's and those of its mounts."""

    rootfs: Snapshot
    mounts: dict[str, Snapshot]


async def inputs_of(container: Container) -> Inputs:
    """The snapshots of a container, worked out side by side."""
    sources = {
        mount.target: mount.source.snapshot
        for mount in container.mounts
        if isinstance(mount, (MountedDirectory, MountedFile, MountedCache)) and mount.source
    }
    found = await asyncio.gather(container.rootfs.get(), *(s.get() for s in sources.values()))
    return Inputs(found[0], dict(zip(sources, found[1:], strict=True)))


async def parts_of(
    session: Session, container: Container, command: Exec, inputs: Inputs
) -> dict[str, object]:
    """What a command's result depends on, but for its files, by names for people."""
    services = [
        [alias, await session.services.key(service)] for alias, service in container.services
    ]
    mounts = await container_mounts_key(session, container, inputs)
    return {
        "the command": command.args,
        "its user": container.user,
        "its working directory": container.workdir or "/",
        **{f"variable {name}": value for name, value in container.env},
        **{f"the mount at {mount[1]}": mount for mount in mounts},
        **{f"secret {name}": secret.key for name, secret in container.secrets},
        "its services": services,
        "its input": [command.stdin, command.redirect_stdin],
        "how it is run": [
            *(command.redirect_stdout, command.redirect_stderr, command.privileged),
            *(command.init, command.network),
        ],
    }


async def container_mounts_key(
    session: Session, container: Container, inputs: Inputs
) -> list[list[object]]:
    """What stands for a container's mounts in a key."""
    keys: list[list[object]] = []
    for mount in container.mounts:
        what: list[object]
        match mount:
            case MountedDirectory():
                snapshot = inputs.mounts[mount.target]
                what = [await session.directory_key(snapshot, mount.source.path), mount.read_only]
                # The container goes on with the result's snapshot, in which it must be there.
                what += [] if mount.read_only else [mount.source.path]
            case MountedFile():
                what = [await session.file_key(inputs.mounts[mount.target], mount.source.path)]
                what += ["read only"] if mount.read_only else []
                what.append(mount.source.path)
            case MountedCache():
                what = [mount.volume.key, mount.sharing, mount.owner]
                what += ["read only"] if mount.read_only else []
                if mount.source is not None:
                    source = inputs.mounts[mount.target]
                    what.append(await session.directory_key(source, mount.source.path))
            case MountedTemp():
                what = [mount.size]
            case MountedSecret():
                what = [mount.secret.key, mount.owner, mount.mode]
            case MountedSocket():
                what = [mount.socket.path, mount.owner]
        keys.append([type(mount).__name__, mount.target, *what])
    return sorted(keys, key=str)


def as_expected(expect: str, code: int) -> bool:
    """Whether an exit code is one that the caller takes for a success."""
    # As recorded: codes from 128 to 191 mean a signal, which nobody expects.
    handled = code < 128 or code > 191
    return code == 0 if expect == "SUCCESS" else handled and (expect == "ANY" or code != 0)


def shown(session: Session, args: Sequence[str]) -> str:
    """A command, when people are told what made a layer or files: its beginning, no secrets."""
    return " ".join(session.without_secrets(args))[:_SHOWN]


def failure(
    session: Session,
    args: Sequence[str],
    message: str,
    *,
    exit_code: int = -1,
    output: Output | None = None,
    stripped: bool = True,
) -> ExecError:
    """The error of a command that failed or, without output, could not be started.

    As recorded, a command's streams are told without the white space around them.
    """
    streams = ["", ""] if output is None else [output.stdout.tail(), output.stderr.tail()]
    out, err = (text.strip() if stripped else text for text in streams)
    return ExecError(
        message,
        command=session.without_secrets(args),
        exit_code=exit_code,
        stdout=out,
        stderr=err,
    )
