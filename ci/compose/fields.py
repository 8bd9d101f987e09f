"""How each key of a service is written, in its short and its long form."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from ci.compose.nodes import Node
from ci.compose.types import Build, Condition, Dependency, Healthcheck, Mount


def command(node: Node) -> tuple[str, ...]:
    """`command` and `entrypoint`: a list, or one line split as a shell would."""
    if node.is_sequence():
        return tuple(item.text() for item in node.items())
    try:
        return tuple(shlex.split(node.text()))
    except ValueError as error:
        raise node.error(f"the command cannot be split: {error}") from error


def build(node: Node) -> Build:
    """`build`: the context's path, or a mapping."""
    if not node.is_mapping():
        return Build(context=node.text())
    fields = _known(node, "build", {"context", "dockerfile", "target", "args"})
    arguments = fields.get("args")
    return Build(
        context=fields["context"].text() if "context" in fields else ".",
        dockerfile=fields["dockerfile"].text() if "dockerfile" in fields else "Dockerfile",
        target=fields["target"].text() if "target" in fields else "",
        arguments=environment(arguments) if arguments else {},
    )


def environment(node: Node) -> dict[str, str]:
    """`environment`: a mapping or a list of `NAME=value`; a bare name takes the caller's value."""
    environ = node.document.environ
    values: dict[str, str] = {}
    if node.is_mapping():
        for name, value in node.mapping().items():
            if not value.is_null():
                values[name] = value.text()
            elif name in environ:
                values[name] = environ[name]
        return values
    for item in node.items():
        name, equals, text = item.text().partition("=")
        if equals:
            values[name] = text
        elif name in environ:
            values[name] = environ[name]
    return values


def depends_on(node: Node) -> tuple[Dependency, ...]:
    """`depends_on`: names, or names with condition and required."""
    if node.is_sequence():
        return tuple(Dependency(service=item.text()) for item in node.items())
    return tuple(_dependency(name, entry) for name, entry in node.mapping().items())


def _dependency(name: str, node: Node) -> Dependency:
    # `restart` is about later restarts, which a stack of one run does not see.
    fields = _known(node, f"depends_on {name}", {"condition", "required", "restart"})
    condition = Condition.STARTED
    if "condition" in fields:
        word = fields["condition"].text()
        if word not in set(Condition):
            raise fields["condition"].error(f"condition {word!r} is none of {', '.join(Condition)}")
        condition = Condition(word)
    required = fields["required"].boolean() if "required" in fields else True
    return Dependency(service=name, condition=condition, required=required)


def healthcheck(node: Node) -> Healthcheck | None:
    """`healthcheck`, or None where it is disabled."""
    fields = _known(
        node,
        "healthcheck",
        {"test", "disable", "retries", "interval", "timeout", "start_period", "start_interval"},
    )
    if "disable" in fields and fields["disable"].boolean():
        return None
    if "test" not in fields:
        raise node.error("a healthcheck without 'test' is not supported")
    test = _test(fields["test"])
    if test is None:
        return None
    seconds = {
        key: duration(fields[key])
        for key in ("interval", "timeout", "start_period", "start_interval")
        if key in fields
    }
    retries = fields["retries"].whole() if "retries" in fields else 3
    return Healthcheck(command=test, retries=retries, **seconds)


def _test(node: Node) -> tuple[str, ...] | None:
    if not node.is_sequence():
        return ("sh", "-c", node.text())
    kind, *rest = [item.text() for item in node.items()] or [""]
    match kind:
        case "NONE":
            return None
        case "CMD" if rest:
            return tuple(rest)
        case "CMD-SHELL" if len(rest) == 1:
            return ("sh", "-c", rest[0])
        case _:
            raise node.error("a test is a text, or a list that starts with CMD, CMD-SHELL or NONE")


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")


def duration(node: Node) -> float:
    """Seconds of a duration such as `1m30s` or `250ms`."""
    text = node.text()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise node.error(f"a duration such as 1m30s is wanted here, not {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def mount(node: Node) -> Mount:
    """One entry of `volumes`: `source:target[:mode]`, or a mapping of type volume or bind."""
    if node.is_mapping():
        return _long_mount(node)
    parts = node.text().split(":")
    if len(parts) not in (2, 3):
        raise node.error("a volume is written source:target or source:target:mode")
    source, target, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else "rw"
    flags = set(mode.split(","))
    if flags - {"rw", "ro", "z", "Z"}:
        raise node.error(f"volume mode {mode!r} is not supported")
    named = not source.startswith((".", "/", "~"))
    return _mount(node, source, target, named=named, read_only="ro" in flags)


def _long_mount(node: Node) -> Mount:
    fields = _known(node, "volumes", {"type", "source", "target", "read_only"})
    missing = {"type", "source", "target"} - fields.keys()
    if missing:
        raise node.error(f"a volume in long form wants {', '.join(sorted(missing))}")
    kind = fields["type"].text()
    if kind not in {"volume", "bind"}:
        raise fields["type"].error(f"volume type {kind!r} is not supported")
    read_only = fields["read_only"].boolean() if "read_only" in fields else False
    source, target = fields["source"].text(), fields["target"].text()
    return _mount(node, source, target, named=kind == "volume", read_only=read_only)


def _mount(node: Node, source: str, target: str, *, named: bool, read_only: bool) -> Mount:
    if not target.startswith("/"):
        raise node.error(f"a volume's target is an absolute path, not {target!r}")
    return Mount(source=source, target=target, named=named, read_only=read_only)


def port(node: Node) -> int:
    """The container's port of one entry of `ports` or `expose`."""
    if node.is_mapping():
        known = {"target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"}
        fields = _known(node, "ports", known)
        if "target" not in fields:
            raise node.error("a port in long form wants 'target'")
        return fields["target"].whole()
    text, _, protocol = node.text().partition("/")
    container = text.rpartition(":")[2]
    if protocol not in ("", "tcp") or not container.isdecimal():
        raise node.error(f"port {node.text()!r} is not supported: one TCP port is wanted")
    return int(container)


def _known(node: Node, where: str, keys: set[str]) -> Mapping[str, Node]:
    fields = node.mapping()
    for key, value in fields.items():
        if key not in keys and not key.startswith("x-"):
            raise value.error(f"{where}: '{key}' is not supported")
    return fields
