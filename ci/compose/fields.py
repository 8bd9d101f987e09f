"""How the keys of a service are written that have more than one form."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from ci.compose.envfile import raw_variables, read_variables
from ci.compose.nodes import Node
from ci.compose.texts import read_beside
from ci.compose.types import Build, Condition, Dependency

# What these ask of a build changes nothing in the image that it makes.
_BUILD_WITHOUT_EFFECT = (
    *("cache_from", "cache_to", "labels", "no_cache", "no_cache_filter", "provenance", "pull"),
    *("sbom", "tags"),
)
# What a shell would heed in a line, and Compose cuts the line at; within quotes it is text.
_OF_A_SHELL = re.compile(r"[;&|<>()`]")
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)


def command(node: Node) -> tuple[str, ...]:
    """`command` and `entrypoint`: a list, or one line split as a shell would."""
    if node.is_sequence():
        return tuple(item.string() for item in node.items())
    line = node.string()
    if sign := _OF_A_SHELL.search(_QUOTED.sub("", line)):
        raise node.error(f"no shell reads '{sign[0]}' here: write a list, as [sh, -c, \"…\"]")
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        raise node.error(f"the command cannot be split: {error}") from error


def build(node: Node) -> Build:
    """`build`: the context's path, or a mapping."""
    if not node.is_mapping():
        return Build(context=_context(node))
    fields = node.fields("build", "context", "dockerfile", "target", "args", *_BUILD_WITHOUT_EFFECT)
    return Build(
        context=_context(fields["context"]) if "context" in fields else ".",
        dockerfile=fields["dockerfile"].string() if "dockerfile" in fields else "Dockerfile",
        target=fields["target"].string() if "target" in fields else "",
        arguments=environment(fields["args"]) if "args" in fields else {},
    )


def _context(node: Node) -> str:
    context = node.string()
    if "://" in context or context.startswith("git@"):
        raise node.error("a build context is a folder beside this file")
    return context


def environment(node: Node) -> dict[str, str]:
    """`environment`: a mapping or a list of `NAME=value`; a bare name takes the caller's value."""
    return _given(_environment(node))


def variables(above: Node | None, files: Node | None) -> dict[str, str]:
    """`environment` above the variables of `env_file`; a bare name without a value unsets one."""
    own = _environment(above) if above else {}
    # A file may name the service's variables; the caller's go before them.
    below = _env_files(files, _given(own)) if files else {}
    return _given({**below, **own})


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _environment(node: Node) -> dict[str, str | None]:
    caller = node.document.environ
    if node.is_mapping():
        return {
            name: caller.get(name) if value.is_null() else value.word()
            for name, value in node.mapping().items()
        }
    pairs = (item.string().partition("=") for item in node.items())
    return {name: text if equals else caller.get(name) for name, equals, text in pairs}


def _env_files(node: Node, known: Mapping[str, str]) -> dict[str, str]:
    """`env_file`: a path or a list of them; later files win."""
    values: dict[str, str] = {}
    for item in node.one_or_more():
        values |= _env_file(item, known)
    return values


def _env_file(node: Node, known: Mapping[str, str]) -> dict[str, str]:
    fields = {"path": node}
    if node.is_mapping():
        fields = node.fields("env_file", "path", "required", "format")
        if "path" not in fields:
            raise node.error("an env_file in long form wants path")
    raw = "format" in fields
    if raw and fields["format"].string() != "raw":
        raise fields["format"].error("the only format of an env_file is raw")
    path = Path(fields["path"].string())
    required = "required" not in fields or fields["required"].boolean()
    if not required and not (node.document.path.parent / path).exists():
        return {}
    text = read_beside(node, path)
    try:
        if raw:
            return raw_variables(text)
        return read_variables(text, {**known, **node.document.environ})
    except ValueError as error:
        raise node.error(f"{path}, {error}") from error


def depends_on(node: Node) -> tuple[Dependency, ...]:
    """`depends_on`: names, or names with condition and required."""
    if node.is_sequence():
        return tuple(Dependency(service=name) for name in node.strings())
    return tuple(_dependency(name, entry) for name, entry in node.mapping().items())


def _dependency(name: str, node: Node) -> Dependency:
    fields = node.fields(f"depends_on {name}", "condition", "required", "restart")
    if "condition" not in fields:
        raise node.error(f"depends_on {name} wants 'condition': one of {', '.join(Condition)}")
    word = fields["condition"].string()
    if word not in set(Condition):
        raise fields["condition"].error(f"condition {word!r} is none of {', '.join(Condition)}")
    if "restart" in fields:
        # About later restarts, which a stack of one run does not see.
        fields["restart"].boolean()
    required = "required" not in fields or fields["required"].boolean()
    return Dependency(service=name, condition=Condition(word), required=required)


def aliases(node: Node, declared: frozenset[str]) -> tuple[str, ...]:
    """`networks`: the other names that the service has on them."""
    if node.is_sequence():
        names: tuple[str, ...] = ()
        networks = {item.string(): item for item in node.items()}
    else:
        networks = node.mapping()
        entries = [entry.fields(f"networks {n}", "aliases") for n, entry in networks.items()]
        names = tuple(name for e in entries if "aliases" in e for name in e["aliases"].strings())
    for network, entry in networks.items():
        if network not in declared:
            raise entry.error(f"network {network!r} is not declared")
    return names
