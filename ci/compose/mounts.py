"""`volumes` and `tmpfs` of a service, in their short and long forms."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ci.compose.nodes import Node
from ci.compose.types import Mount, MountKind

_SIZE = re.compile(r"(\d+)([bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def mounts(volumes: Iterable[Node], tmpfs: Node | None, declared: frozenset[str]) -> list[Mount]:
    """All mounts of a service; of two at one path the later one, as `extends` wants it."""
    found = {}
    for node in volumes:
        mount = _volume(node)
        if mount.kind is MountKind.NAMED and mount.source not in declared:
            raise node.error(f"volume {mount.source!r} is not declared")
        found[mount.target] = mount
    for node in tmpfs.one_or_more() if tmpfs else ():
        mount = _tmpfs(node)
        found[mount.target] = mount
    return list(found.values())


# About labels of SELinux, what a new volume holds, and when a host on a Mac sees what was written.
_MODES_WITHOUT_EFFECT = ("z", "Z", "nocopy", "cached", "delegated", "consistent")


def _volume(node: Node) -> Mount:
    """One entry of `volumes`: `[source:]target[:mode]`, or a mapping."""
    if node.is_mapping():
        return _long(node)
    parts = node.string().split(":")
    if len(parts) > 3:
        raise node.error("a volume is written target, source:target or source:target:mode")
    if len(parts) == 1:
        return Mount(kind=MountKind.ANONYMOUS, target=_target(node, parts[0]))
    source, target, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else "rw"
    flags = set(mode.split(","))
    if flags - {"rw", "ro", *_MODES_WITHOUT_EFFECT}:
        raise node.error(f"volume mode {mode!r} is not supported")
    kind = MountKind.BIND if source.startswith((".", "/", "~")) else MountKind.NAMED
    return _sourced(node, kind, source, target, read_only="ro" in flags)


def _long(node: Node) -> Mount:
    fields = node.fields(
        "volumes", "type", "source", "target", "read_only", "bind", "volume", "tmpfs", "consistency"
    )
    missing = {"type", "target"} - fields.keys()
    if missing:
        raise node.error(f"a volume in long form wants {', '.join(sorted(missing))}")
    kind, target = fields["type"].string(), fields["target"].string()
    read_only = "read_only" in fields and fields["read_only"].boolean()
    for name, taken in (
        ("bind", ["create_host_path", "selinux"]),
        ("volume", ["nocopy", "labels"]),
        ("tmpfs", ["size"]),
    ):
        if name in fields:
            fields[name].fields(f"volumes: {name}", *taken)
    if kind == "tmpfs":
        options = fields["tmpfs"].mapping() if "tmpfs" in fields else {}
        size = _bytes(options["size"], options["size"].text()) if "size" in options else None
        return Mount(kind=MountKind.TMPFS, target=_target(node, target), size=size)
    if kind == "volume" and "source" not in fields:
        return Mount(kind=MountKind.ANONYMOUS, target=_target(node, target))
    if kind not in {"volume", "bind"}:
        raise fields["type"].error(f"volume type {kind!r} is not supported")
    if "source" not in fields:
        raise node.error("a bind mount wants source")
    of_kind = MountKind.NAMED if kind == "volume" else MountKind.BIND
    return _sourced(node, of_kind, fields["source"].string(), target, read_only=read_only)


def _sourced(node: Node, kind: MountKind, source: str, target: str, *, read_only: bool) -> Mount:
    if source.startswith("~"):
        raise node.error("'~' is not supported: write the path of the folder")
    return Mount(kind=kind, source=source, target=_target(node, target), read_only=read_only)


def _tmpfs(node: Node) -> Mount:
    """One entry of `tmpfs`: a path, and behind a colon its options."""
    path, _, written = node.string().partition(":")
    size = None
    for option in written.split(",") if written else ():
        name, _, value = option.partition("=")
        if name == "size":
            size = _bytes(node, value)
        elif option not in {"rw", "mode=1777", "mode=01777"}:
            raise node.error(f"tmpfs option {option!r} is not supported")
    return Mount(kind=MountKind.TMPFS, target=_target(node, path), size=size)


def _bytes(node: Node, text: str) -> int:
    size = _SIZE.fullmatch(text)
    if size is None:
        raise node.error(f"a size such as 64m is wanted here, not {text!r}")
    return int(size[1]) * _UNITS[size[2].lower()]


def _target(node: Node, path: str) -> str:
    # The script that empties volumes reads their paths as words.
    if not path.startswith("/") or any(letter.isspace() for letter in path):
        raise node.error(f"a volume's target is an absolute path without blanks, not {path!r}")
    return path
