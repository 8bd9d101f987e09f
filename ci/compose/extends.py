"""`extends`: a service that starts from another one of the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import yaml

from ci.compose.nodes import Node

# What replaces the value that it extends; any other list goes behind that one.
_REPLACED = frozenset({"command", "entrypoint", "extends", "test"})


def extended(name: str, services: Mapping[str, Node], below: tuple[str, ...] = ()) -> Node:
    """The service `name` together with what it extends."""
    own = services[name].mapping().get("extends")
    if own is None or own.is_null():
        return services[name]
    base = _service(own)
    if base not in services:
        raise own.error(f"service {name} extends {base!r}, which is not declared")
    if base in (*below, name):
        raise own.error(f"extends goes in a circle: {' → '.join((*below, name, base))}")
    return _merged(extended(base, services, (*below, name)), services[name], name)


def _service(node: Node) -> str:
    if not node.is_mapping():
        return node.string()
    fields = node.fields("extends", "service")
    if "service" not in fields:
        raise node.error("extends wants 'service'")
    return fields["service"].string()


def _merged(base: Node, own: Node, key: str) -> Node:
    """`own` above `base`: mappings key by key, lists one behind the other."""
    if own.is_null():
        return base
    if base.is_null() or key in _REPLACED:
        return own
    if own.is_mapping() and base.is_mapping():
        below, above = base.mapping(), own.mapping()
        merged = below | {
            name: _merged(below[name], value, name) if name in below else value
            for name, value in above.items()
        }
        return _like(own, [(_key(name, node), node.value) for name, node in merged.items()])
    if own.is_sequence() and base.is_sequence():
        return _like(own, [*base.value.value, *own.value.value])
    if type(own.value) is not type(base.value):
        raise own.error(
            f"'{key}' is written in one form here and in another where it is extended:"
            " write both alike"
        )
    return own


def _like(node: Node, value: list[object]) -> Node:
    return replace(
        node,
        value=type(node.value)(node.value.tag, value, node.value.start_mark, node.value.end_mark),
    )


def _key(name: str, node: Node) -> yaml.Node:
    """The key in front of a value, in the line that the value knows."""
    mark = yaml.Mark(node.document.path.name, 0, node.line - 1, 0, None, 0)
    return yaml.ScalarNode("tag:yaml.org,2002:str", name, mark, mark)
