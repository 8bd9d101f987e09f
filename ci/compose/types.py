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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A named volume, or a file or folder of the host, at a path of the container."""

    source: str
    target: str
    named: bool
    read_only: bool = False


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
    ports: tuple[int, ...] = ()
    profiles: frozenset[str] = frozenset()
    user: str | None = None
    working_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """The services that take part, each after those that it depends on."""

    services: Mapping[str, Service]
    volumes: frozenset[str] = frozenset()
