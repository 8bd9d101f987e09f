"""The shapes of a compose file, as far as it is supported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ci.errors import CheckFailed


class ComposeError(CheckFailed):
    """The compose file asks for what cannot be had, or does not say what it wants."""


class Condition(StrEnum):
    """What a service waits for before it starts."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of `depends_on`; a dependency that is not required may be left out by a profile."""

    service: str
    condition: Condition = Condition.STARTED
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How to build an image; paths are relative to the compose file."""

    context: str
    dockerfile: str = "Dockerfile"
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """A command that tells whether the service is healthy; times are in seconds.

    The defaults are those of the Compose specification.
    """

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 5.0


class MountKind(StrEnum):
    """What is mounted: a volume with a name or without one, a path of the host, or memory."""

    NAMED = "named volume"
    ANONYMOUS = "anonymous volume"
    BIND = "bind"
    TMPFS = "tmpfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """What is mounted at a path of the container; `size` is a tmpfs's limit in bytes."""

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedText:
    """A config or a secret: a file of this text at a path of the container."""

    name: str
    target: str
    text: str = field(repr=False)
    secret: bool
    owner: str = ""
    mode: int = 0o444


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the container; `published` is empty where the host has none for it."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of the stack; None where the image decides."""

    name: str
    image: str | None = None
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[Dependency, ...] = ()
    healthcheck: Healthcheck | None = None
    mounts: tuple[Mount, ...] = ()
    texts: tuple[MountedText, ...] = ()
    ports: tuple[Port, ...] = ()
    # Other names by which those that depend on it reach it.
    aliases: tuple[str, ...] = ()
    profiles: frozenset[str] = frozenset()
    user: str | None = None
    working_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """The services that take part, each after those that it depends on."""

    services: Mapping[str, Service]
    volumes: frozenset[str] = frozenset()

    @property
    def jobs(self) -> frozenset[str]:
        """The services that another waits for to complete."""
        return frozenset(
            dependency.service
            for service in self.services.values()
            for dependency in service.depends_on
            if dependency.condition is Condition.COMPLETED
        )
