"""`healthcheck`, and how Compose writes durations."""

from __future__ import annotations

import re

from ci.compose.nodes import Node
from ci.compose.types import Healthcheck

_TIMES = ("interval", "timeout", "start_period", "start_interval")
_RETRIES = 3
_UNITS = {
    **{"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
    **{"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0},
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ns|us|ms|s|m|h|d|w)")


def healthcheck(node: Node) -> Healthcheck | None:
    """`healthcheck`, or None where it is disabled."""
    fields = node.fields("healthcheck", "test", "disable", "retries", *_TIMES)
    times = {key: duration(fields[key]) for key in _TIMES if key in fields}
    retries = fields["retries"].whole() if "retries" in fields else 0
    if "disable" in fields and fields["disable"].boolean():
        return None
    if "test" not in fields:
        raise node.error("a healthcheck without 'test' is not supported")
    test = _test(fields["test"])
    if test is None:
        return None
    # Zero stands for the default, as in Docker.
    given = {key: seconds for key, seconds in times.items() if seconds}
    return Healthcheck(command=test, retries=retries or _RETRIES, **given)


def _test(node: Node) -> tuple[str, ...] | None:
    if not node.is_sequence():
        return ("sh", "-c", node.string())
    kind, *rest = [item.string() for item in node.items()] or [""]
    match kind:
        case "NONE":
            return None
        case "CMD" if rest:
            return tuple(rest)
        case "CMD-SHELL" if len(rest) == 1:
            return ("sh", "-c", rest[0])
        case _:
            raise node.error("a test is a text, or a list that starts with CMD, CMD-SHELL or NONE")


def duration(node: Node) -> float:
    """Seconds of a duration such as `1m30s` or `250ms`."""
    text = node.text()
    parts = _PART.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise node.error(f"a duration such as 1m30s is wanted here, not {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
