"""A compose file as a whole: which services take part, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from ci.compose.definition import Declared, service
from ci.compose.extends import extended
from ci.compose.nodes import Node, read_yaml
from ci.compose.texts import declared as read_texts
from ci.compose.types import Compose, Condition, Dependency, Service

_NAME = re.compile(r"[a-zA-Z0-9._-]+")


def read_compose(
    path: Path, environ: Mapping[str, str], *, profiles: Iterable[str] = ()
) -> Compose:
    """The stack of the file at `path`: the services of no profile, and those of `profiles`.

    `environ` alone gives the variables: nothing of this process's environment slips in, and no
    `.env` is read.
    """
    root = read_yaml(path, environ)
    top = root.fields(
        "top-level", "name", "version", "services", "volumes", "networks", "configs", "secrets"
    )
    if "name" in top:
        _check_name("project", top["name"].string(), top["name"])
    declared = _declared(top)
    nodes = top["services"].mapping() if "services" in top else {}
    services: dict[str, Service] = {}
    for name, node in nodes.items():
        _check_name("service", name, node)
        services[name] = service(name, extended(name, nodes), declared)
    chosen = frozenset(profiles)
    active = {
        name: service
        for name, service in services.items()
        if not service.profiles or service.profiles & chosen
    }
    return Compose(services=_ordered(active, nodes), volumes=declared.volumes)


def _check_name(kind: str, name: str, node: Node) -> None:
    if not _NAME.fullmatch(name):
        raise node.error(f"a {kind}'s name is of letters, digits, '.', '_', '-', not {name!r}")


def _declared(top: Mapping[str, Node]) -> Declared:
    volumes = top["volumes"].mapping() if "volumes" in top else {}
    for name, node in volumes.items():
        # One with a driver, or an external one, would not be fresh in each run.
        node.fields(f"volume {name}", "name", "labels")
        _check_name("volume", name, node)
    networks = top["networks"].mapping() if "networks" in top else {}
    for name, node in networks.items():
        given = node.fields(f"network {name}", "name", "labels", "driver", "attachable")
        if "driver" in given and given["driver"].string() != "bridge":
            raise given["driver"].error(f"network {name}: the only driver is bridge")
    return Declared(
        volumes=frozenset(volumes),
        networks=frozenset({"default", *networks}),
        configs=read_texts(top["configs"], secret=False) if "configs" in top else {},
        secrets=read_texts(top["secrets"], secret=True) if "secrets" in top else {},
    )


def _ordered(active: Mapping[str, Service], nodes: Mapping[str, Node]) -> dict[str, Service]:
    """The services, dependencies first and without those that a profile leaves out."""
    kept = {name: _resolved(service, active, nodes[name]) for name, service in active.items()}
    graph = {name: [d.service for d in service.depends_on] for name, service in kept.items()}
    try:
        return {name: kept[name] for name in TopologicalSorter(graph).static_order()}
    except CycleError as error:
        cycle = error.args[1]
        raise nodes[cycle[0]].error(f"depends_on goes in a circle: {' → '.join(cycle)}") from error


def _resolved(service: Service, active: Mapping[str, Service], node: Node) -> Service:
    kept: list[Dependency] = []
    for dependency in service.depends_on:
        needed = active.get(dependency.service)
        if needed is None:
            if dependency.required:
                raise node.error(
                    f"service {service.name} depends on {dependency.service!r}, "
                    "which is not declared or belongs to a profile that is not chosen"
                )
            continue
        if dependency.condition is Condition.HEALTHY and needed.healthcheck is None:
            raise node.error(
                f"service {service.name} waits for {needed.name!r} to be healthy, "
                "which has no healthcheck"
            )
        kept.append(dependency)
    return replace(service, depends_on=tuple(kept))
