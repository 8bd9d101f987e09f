"""RUN --mount=type=secret and type=ssh: what only the command itself may see."""

from __future__ import annotations

import os
from dataclasses import replace

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.inputs import Inputs
from engine.dockerfile.mounts import Mount
from engine.model import Container, MountedSecret, MountedSocket


def with_secret(inputs: Inputs, container: Container, mount: Mount, target: str) -> Container:
    """The container with a secret as a file, as a variable, or as both.

    A secret that the build was not given is left out, unless it is required.
    """
    name = mount.source or mount.id or os.path.basename(mount.target)
    secret = inputs.secrets.get(name)
    if secret is None:
        if mount.required:
            raise DockerfileError(
                f"secret {quoted(name)} is required but no secret mappings were provided: "
                "pass it to docker_build(secrets=[...])"
            )
        return container
    if mount.env is not None:
        variable = mount.env or name
        container = replace(container, secrets=(*container.secrets, (variable, secret)))
        if not target:
            return container
    made = MountedSecret(
        target=target or f"/run/secrets/{os.path.basename(name)}",
        secret=secret,
        owner=f"{mount.uid or 0}:{mount.gid or 0}",
        mode=0o400 if mount.mode is None else mount.mode,
    )
    return container.with_mount(made)


def with_socket(inputs: Inputs, container: Container, mount: Mount, target: str) -> Container:
    """The container with the socket of an ssh agent, whose path is in SSH_AUTH_SOCK."""
    if mount.source:
        raise DockerfileError("ssh does not support source")
    if inputs.ssh is None:
        if mount.required:
            raise DockerfileError(
                f"ssh mount {quoted(mount.id or 'default')} is required but no ssh socket "
                "mappings were provided: pass it to docker_build(ssh=...)"
            )
        return container
    number = sum(isinstance(mount, MountedSocket) for mount in container.mounts)
    path = target or f"/run/buildkit/ssh_agent.{number}"
    owner = f"{mount.uid or 0}:{mount.gid or 0}"
    env = dict(container.env)
    env.setdefault("SSH_AUTH_SOCK", path)
    container = replace(container, env=tuple(env.items()))
    return container.with_mount(MountedSocket(target=path, socket=inputs.ssh, owner=owner))
