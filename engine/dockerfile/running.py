"""RUN: a command in the stage's container, with what its flags mount."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine import files
from engine.command import Exec
from engine.dockerfile.arguments import proxies
from engine.dockerfile.binding import Binding, bound
from engine.dockerfile.errors import DockerfileError, Place
from engine.dockerfile.inputs import Inputs
from engine.dockerfile.instructions import Heredoc, Run
from engine.dockerfile.mounts import Mount, parse_mount
from engine.dockerfile.secrets import with_secret, with_socket
from engine.dockerfile.sources import Sources
from engine.dockerfile.state import SHELL, State, command_of
from engine.execution import with_exec
from engine.lazy import Lazy, together
from engine.model import (
    CacheVolume,
    Container,
    Directory,
    File,
    MountedCache,
    MountedFile,
    MountedTemp,
)
from engine.snapshot import EMPTY, Snapshot

_PIPES = "/dev/pipes"


def after(inputs: Inputs, sources: Sources, state: State, line: Run, place: Place) -> Container:
    """The container with the files that the command leaves. Raises DockerfileError."""
    _check(line)
    mounts = [parse_mount(text, state.word) for text in line.mounts]
    below = state.container
    prepared = _with_environment(inputs, state)
    args = command_of(below, line)
    if line.script is not None:
        prepared = prepared.with_mount(_script(inputs, line.script))
        args = (*(below.shell or SHELL), f"{_PIPES}/{line.script.name}")
    bindings: list[Binding] = []
    for mount in mounts:
        target = _target(state, mount)
        if mount.from_:
            state.takes_from(sources[mount.from_].container)
        match mount.type:
            case "bind":
                bindings.append(Binding(sources[mount.from_].directory, mount, target))
            case "cache":
                prepared = prepared.with_mount(_cache(inputs, sources, mount, target))
            case "tmpfs":
                prepared = prepared.with_mount(MountedTemp(target=target, size=mount.size or None))
            case "secret":
                prepared = with_secret(inputs, prepared, mount, target)
            case _:
                prepared = with_socket(inputs, prepared, mount, target)
    command = Exec(args=args, init=inputs.init, network=line.network != "none")
    ran = _Ran(inputs, prepared, tuple(bindings), command, place)
    return replace(state.container, rootfs=Lazy(ran.rootfs))


@dataclass(frozen=True, slots=True)
class _Ran:
    inputs: Inputs
    container: Container
    bindings: Sequence[Binding]
    command: Exec
    place: Place

    async def rootfs(self) -> Snapshot:
        # Side by side: what is mounted may come from stages of its own.
        base, *snapshots = await together(
            self.container.rootfs.get(),
            *(binding.source.snapshot.get() for binding in self.bindings),
        )
        with self.place.blamed():
            container = replace(self.container, rootfs=Lazy.of(base))
            for binding, snapshot in zip(self.bindings, snapshots, strict=True):
                container = container.with_mount(
                    await bound(self.inputs.session, binding, snapshot)
                )
            ran = with_exec(self.inputs.session, container, self.command)
            return await ran.rootfs.get()


def _check(line: Run) -> None:
    if line.security == "insecure":
        raise DockerfileError(
            "security.insecure is not allowed: a Dockerfile cannot give itself all capabilities; "
            "use with_exec(insecure_root_capabilities=True) in the program"
        )
    if line.devices:
        raise DockerfileError("RUN --device is not supported: no device is given to containers")


def _with_environment(inputs: Inputs, state: State) -> Container:
    # A proxy may change without anything having to run again.
    given = proxies(inputs.arguments)
    volatile = tuple((n, v) for n, v in given.items() if n not in state.variables)
    return replace(
        state.container,
        env=tuple(state.variables.items()),
        volatile=volatile,
        mounts=(),
        secrets=(),
        services=(),
    )


def _script(inputs: Inputs, script: Heredoc) -> MountedFile:
    """A here document with an interpreter line, as a file that the shell runs."""
    source = files.with_new_file(
        inputs.session.snapshots, Lazy.of(EMPTY), f"/{script.name}", script.content, mode=0o755
    )
    return MountedFile(
        target=f"{_PIPES}/{script.name}", source=File(source, f"/{script.name}"), read_only=True
    )


def _target(state: State, mount: Mount) -> str:
    if not mount.target and mount.type in ("secret", "ssh"):
        return ""
    path = state.container.absolute(mount.target)
    if path == "/":
        raise DockerfileError('invalid mount target "/"')
    return path


def _cache(inputs: Inputs, sources: Sources, mount: Mount, target: str) -> MountedCache:
    name = f"dockerfile {mount.id or os.path.normpath(mount.target)}"
    namespace = inputs.arguments.get("BUILDKIT_CACHE_MOUNT_NS")
    if namespace:
        name += f" of {namespace}"
    source: Directory | None = None
    if mount.from_:
        folder = sources[mount.from_].directory
        source = replace(folder, path=f"{folder.path.rstrip('/')}/{mount.source.lstrip('/')}")
    owner = ""
    if mount.uid is not None or mount.gid is not None:
        owner = f"{mount.uid or 0}:{mount.gid or 0}"
    return MountedCache(
        target=target,
        volume=CacheVolume(name),
        sharing=(mount.sharing or "shared").upper(),
        owner=owner,
        source=source,
        mode=mount.mode,
        read_only=mount.read_only,
    )
