"""Fields of Container for its configuration: variables, user, labels, entrypoint, ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.arguments import absolute, expanded
from engine.calls import field
from engine.model import Container, Port, Secret

if TYPE_CHECKING:
    from engine.session import Session


def with_pair(
    pairs: tuple[tuple[str, str], ...], name: str, value: str
) -> tuple[tuple[str, str], ...]:
    """The pairs with one set: in its old place if there was one of that name."""
    if any(n == name for n, _ in pairs):
        return tuple((n, value if n == name else v) for n, v in pairs)
    return (*pairs, (name, value))


def _without_pair(pairs: tuple[tuple[str, str], ...], name: str) -> tuple[tuple[str, str], ...]:
    return tuple((n, v) for n, v in pairs if n != name)


def with_variable(parent: Container, name: str, value: str) -> Container:
    """The container with an environment variable; commands see a secret of its name instead."""
    return replace(parent, env=with_pair(parent.env, name, value))


@field("Container", "withEnvVariable")
async def with_env_variable(
    session: Session, parent: Container, name: str, value: str, expand: bool = False
) -> Container:
    """The container with an environment variable."""
    return with_variable(parent, name, expanded(parent, value, expand))


@field("Container", "withoutEnvVariable")
async def without_env_variable(session: Session, parent: Container, name: str) -> Container:
    """The container without an environment variable."""
    return replace(parent, env=_without_pair(parent.env, name))


@field("Container", "withVolatileVariable")
async def with_volatile_variable(
    session: Session, parent: Container, name: str, value: str
) -> Container:
    """The container with a variable that is in no key: a new value runs nothing again."""
    return replace(parent, volatile=with_pair(parent.volatile, name, value))


@field("Container", "withoutVolatileVariable")
async def without_volatile_variable(session: Session, parent: Container, name: str) -> Container:
    """The container without a volatile variable."""
    return replace(parent, volatile=_without_pair(parent.volatile, name))


@field("Container", "withSecretVariable")
async def with_secret_variable(
    session: Session, parent: Container, name: str, secret: Secret
) -> Container:
    """The container with a secret as an environment variable."""
    others = tuple((n, s) for n, s in parent.secrets if n != name)
    return replace(parent, secrets=(*others, (name, secret)))


@field("Container", "withoutSecretVariable")
async def without_secret_variable(session: Session, parent: Container, name: str) -> Container:
    """The container without a secret variable."""
    return replace(parent, secrets=tuple((n, s) for n, s in parent.secrets if n != name))


@field("Container", "withLabel")
async def with_label(session: Session, parent: Container, name: str, value: str) -> Container:
    """The container with a label."""
    return replace(parent, labels=with_pair(parent.labels, name, value))


@field("Container", "withoutLabel")
async def without_label(session: Session, parent: Container, name: str) -> Container:
    """The container without a label."""
    return replace(parent, labels=_without_pair(parent.labels, name))


@field("Container", "withAnnotation")
async def with_annotation(session: Session, parent: Container, name: str, value: str) -> Container:
    """The container with an annotation of its image's manifest."""
    return replace(parent, annotations=with_pair(parent.annotations, name, value))


@field("Container", "withoutAnnotation")
async def without_annotation(session: Session, parent: Container, name: str) -> Container:
    """The container without an annotation."""
    return replace(parent, annotations=_without_pair(parent.annotations, name))


@field("Container", "withWorkdir")
async def with_workdir(
    session: Session, parent: Container, path: str, expand: bool = False
) -> Container:
    """The container with a working directory, relative to the one before."""
    return replace(parent, workdir=absolute(parent, path, expand))


@field("Container", "withoutWorkdir")
async def without_workdir(session: Session, parent: Container) -> Container:
    """The container with the root as its working directory."""
    return replace(parent, workdir="")


@field("Container", "withUser")
async def with_user(session: Session, parent: Container, name: str) -> Container:
    """The container whose commands run as another user."""
    return replace(parent, user=name)


@field("Container", "withoutUser")
async def without_user(session: Session, parent: Container) -> Container:
    """The container whose commands run as root."""
    return replace(parent, user="")


@field("Container", "withEntrypoint")
async def with_entrypoint(
    session: Session, parent: Container, args: Sequence[str], keep_default_args: bool = False
) -> Container:
    """The container with an entrypoint; default arguments go unless kept."""
    kept = parent.args if keep_default_args else ()
    return replace(parent, entrypoint=tuple(args), args=kept)


@field("Container", "withoutEntrypoint")
async def without_entrypoint(
    session: Session, parent: Container, keep_default_args: bool = False
) -> Container:
    """The container without an entrypoint."""
    return replace(parent, entrypoint=(), args=parent.args if keep_default_args else ())


@field("Container", "withDefaultArgs")
async def with_default_args(session: Session, parent: Container, args: Sequence[str]) -> Container:
    """The container with default arguments."""
    return replace(parent, args=tuple(args), own_args=True)


@field("Container", "withoutDefaultArgs")
async def without_default_args(session: Session, parent: Container) -> Container:
    """The container without default arguments."""
    return replace(parent, args=(), own_args=False)


@field("Container", "withExposedPort")
async def with_exposed_port(
    session: Session,
    parent: Container,
    port: int,
    protocol: str = "TCP",
    description: str | None = None,
    experimental_skip_healthcheck: bool = False,
) -> Container:
    """The container with a port on which it listens as a service."""
    made = Port(
        port=port,
        protocol=protocol,
        description=description,
        skip_healthcheck=experimental_skip_healthcheck,
    )
    return replace(parent, ports=(*_other_ports(parent, port, protocol), made))


@field("Container", "withoutExposedPort")
async def without_exposed_port(
    session: Session, parent: Container, port: int, protocol: str = "TCP"
) -> Container:
    """The container without an exposed port and, as recorded, without all that its image lists."""
    others = _other_ports(parent, port, protocol)
    return replace(parent, ports=tuple(p for p in others if not p.of_image))


def _other_ports(parent: Container, port: int, protocol: str) -> tuple[Port, ...]:
    return tuple(p for p in parent.ports if (p.port, p.protocol) != (port, protocol))


@field("Container", "withRegistryAuth")
async def with_registry_auth(
    session: Session, parent: Container, address: str, username: str, secret: Secret
) -> Container:
    """The container that pulls from and publishes to a registry with these credentials."""
    others = tuple(auth for auth in parent.registry_auth if auth[0] != address)
    return replace(parent, registry_auth=(*others, (address, username, secret)))


@field("Container", "withoutRegistryAuth")
async def without_registry_auth(session: Session, parent: Container, address: str) -> Container:
    """The container without credentials for a registry."""
    others = tuple(auth for auth in parent.registry_auth if auth[0] != address)
    return replace(parent, registry_auth=others)
