"""`ports` and `expose`, in their short and long forms."""

from __future__ import annotations

import re

from ci.compose.nodes import Node
from ci.compose.types import Port

# `[ADDRESS:][PUBLISHED:]TARGET[/PROTOCOL]`, an IPv6 address in brackets, each port maybe a range.
_PORT = re.compile(
    r"(?:(?:(?P<ip>[0-9.]+|\[[0-9A-Fa-f:.]+\]):)?(?P<published>\d+(?:-\d+)?)?:)?"
    r"(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?"
)


def ports(node: Node) -> list[Port]:
    """One entry of `ports`: a port for each number of a range."""
    if node.is_mapping():
        return [_long(node)]
    written = _PORT.fullmatch(node.text())
    if written is None:
        raise node.error(f"a port is written [[address:]published:]target, not {node.text()!r}")
    targets = _numbers(node, written["target"])
    published = _published(node, written["published"] or "", len(targets))
    return [
        Port(
            target=target,
            published=host,
            host_ip=(written["ip"] or "").strip("[]"),
            protocol=_protocol(node, written["protocol"] or "tcp"),
        )
        for target, host in zip(targets, published)
    ]


def exposed(node: Node) -> list[Port]:
    """One entry of `expose`: ports of the container and nothing of the host."""
    if ":" in node.text():
        raise node.error(f"expose names ports of the container alone, not {node.text()!r}")
    return ports(node)


def _long(node: Node) -> Port:
    fields = node.fields(
        "ports", "target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"
    )
    if "target" not in fields:
        raise node.error("a port in long form wants 'target'")
    published = fields["published"].text() if "published" in fields else ""
    _published(node, published, 1)
    (target,) = _numbers(fields["target"], str(fields["target"].whole()))
    return Port(
        target=target,
        published=published,
        host_ip=fields["host_ip"].string() if "host_ip" in fields else "",
        protocol=_protocol(node, fields["protocol"].string() if "protocol" in fields else "tcp"),
    )


def _published(node: Node, text: str, count: int) -> list[str]:
    """The host's port for each of so many; for a single one the host may choose from a range."""
    if not text:
        return [""] * count
    numbers = _numbers(node, text)
    if count == 1:
        return [text]
    if len(numbers) != count:
        raise node.error(f"{len(numbers)} published ports do not fit {count} of the container")
    return [str(number) for number in numbers]


def _numbers(node: Node, text: str) -> range:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise node.error(f"a port or a range of ports is wanted here, not {text!r}")
    numbers = range(int(first), int(last or first) + 1)
    if not numbers or numbers[0] < 1 or numbers[-1] > 65535:
        raise node.error(f"ports are from 1 to 65535, and a range grows, not {text!r}")
    return numbers


def _protocol(node: Node, text: str) -> str:
    if text not in {"tcp", "udp"}:
        raise node.error(f"protocol {text!r} is neither tcp nor udp")
    return text
