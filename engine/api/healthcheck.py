"""Fields of HealthcheckConfig, and of Container what sets one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.calls import field
from engine.dockerfile.durations import parse_duration
from engine.model import Container, Healthcheck

if TYPE_CHECKING:
    from engine.session import Session


@field("Container", "withDockerHealthcheck")
async def with_docker_healthcheck(
    session: Session,
    parent: Container,
    args: Sequence[str],
    shell: bool | None = None,
    interval: str | None = None,
    timeout: str | None = None,
    start_period: str | None = None,
    start_interval: str | None = None,
    retries: int | None = None,
) -> Container:
    """The container with a health check in its image's configuration."""
    check = Healthcheck(
        args=tuple(args),
        shell=bool(shell),
        interval=parse_duration(interval or "0s"),
        timeout=parse_duration(timeout or "0s"),
        start_period=parse_duration(start_period or "0s"),
        start_interval=parse_duration(start_interval or "0s"),
        retries=retries or 0,
    )
    return replace(parent, healthcheck=check)


@field("Container", "withoutDockerHealthcheck")
async def without_docker_healthcheck(session: Session, parent: Container) -> Container:
    """The container without a health check."""
    return replace(parent, healthcheck=None)


@field("HealthcheckConfig", "args")
async def healthcheck_args(session: Session, check: Healthcheck) -> list[str]:
    """The command."""
    return list(check.args)


@field("HealthcheckConfig", "shell")
async def healthcheck_shell(session: Session, check: Healthcheck) -> bool:
    """Whether the shell runs the command."""
    return check.shell


@field("HealthcheckConfig", "interval")
async def healthcheck_interval(session: Session, check: Healthcheck) -> str:
    """The time between two checks."""
    return format_duration(check.interval)


@field("HealthcheckConfig", "timeout")
async def healthcheck_timeout(session: Session, check: Healthcheck) -> str:
    """How long a check may take."""
    return format_duration(check.timeout)


@field("HealthcheckConfig", "startPeriod")
async def healthcheck_start_period(session: Session, check: Healthcheck) -> str:
    """How long failures do not count."""
    return format_duration(check.start_period)


@field("HealthcheckConfig", "startInterval")
async def healthcheck_start_interval(session: Session, check: Healthcheck) -> str:
    """The time between two checks during the start period."""
    return format_duration(check.start_interval)


@field("HealthcheckConfig", "retries")
async def healthcheck_retries(session: Session, check: Healthcheck) -> int:
    """How many failures in a row mean unhealthy."""
    return check.retries


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: 1m30s, 500ms."""
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    seconds = f"{rest / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds
