"""A compose file as a whole: which services take part, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from ci.compose import fields
from ci.compose.nodes import Node, read_yaml
from ci.compose.types import Compose, ComposeError, Condition, Dependency, Service

# Keys whose absence changes nothing in a stack that lives for one run.
_WITHOUT_EFFECT = frozenset(
    {
        "container_name",
        "init",
        "labels",
        "logging",
        "pull_policy",
        "restart",
        "stop_grace_period",
        "stop_signal",
    }
)
_SUPPORTED = frozenset(
    {
        "build",
        "command",
        "depends_on",
        "entrypoint",
        "environment",
        "expose",
        "healthcheck",
        "image",
        "ports",
        "profiles",
        "user",
        "volumes",
        "working_dir",
    }
)


def read_compose(
    path: Path, environ: Mapping[str, str], *, profiles: Iterable[str] = ()
) -> Compose:
    """The stack of the file at `path`: the services of no profile, and those of `profiles`.

    `environ` alone gives the variables: nothing of this process's environment slips in.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ComposeError(f"{path.name} cannot be read: {error.strerror}.") from error
    root = read_yaml(text, name=path.name, environ=environ)
    volumes: frozenset[str] = frozenset()
    nodes: dict[str, Node] = {}
    for key, value in root.mapping().items():
        match key:
            case "services":
                nodes = value.mapping()
            case "volumes":
                volumes = frozenset(_volume(*item) for item in value.mapping().items())
            case "name" | "version":
                pass
            case _ if not key.startswith("x-"):
                raise value.error(f"top-level '{key}' is not supported")
    services = {name: _service(name, node, volumes) for name, node in nodes.items()}
    chosen = frozenset(profiles)
    active = {
        name: service
        for name, service in services.items()
        if not service.profiles or service.profiles & chosen
    }
    return Compose(services=_ordered(active, nodes), volumes=volumes)


def _volume(name: str, node: Node) -> str:
    """A named volume; one with a driver, or an external one, would not be fresh in each run."""
    for key, value in node.mapping().items():
        if key not in {"name", "labels"}:
            raise value.error(f"volume {name}: '{key}' is not supported")
    return name


def _service(name: str, node: Node, volumes: frozenset[str]) -> Service:
    given: dict[str, Node] = {}
    for key, value in node.mapping().items():
        if key not in _SUPPORTED | _WITHOUT_EFFECT and not key.startswith("x-"):
            raise value.error(f"service {name}: '{key}' is not supported")
        if not value.is_null():
            given[key] = value
    if "image" not in given and "build" not in given:
        raise node.error(f"service {name} has neither 'image' nor 'build'")

    def text(key: str) -> str | None:
        return given[key].text() if key in given else None

    def command(key: str) -> tuple[str, ...] | None:
        return fields.command(given[key]) if key in given else None

    def items(key: str) -> list[Node]:
        return given[key].items() if key in given else []

    mounts = []
    for item in items("volumes"):
        mount = fields.mount(item)
        if mount.named and mount.source not in volumes:
            raise item.error(f"service {name}: volume {mount.source!r} is not declared")
        mounts.append(mount)
    ports = [fields.port(item) for item in items("ports") + items("expose")]
    return Service(
        name=name,
        image=text("image"),
        build=fields.build(given["build"]) if "build" in given else None,
        command=command("command"),
        entrypoint=command("entrypoint"),
        environment=fields.environment(given["environment"]) if "environment" in given else {},
        depends_on=fields.depends_on(given["depends_on"]) if "depends_on" in given else (),
        healthcheck=fields.healthcheck(given["healthcheck"]) if "healthcheck" in given else None,
        mounts=tuple(mounts),
        ports=tuple(dict.fromkeys(ports)),
        profiles=frozenset(item.text() for item in items("profiles")),
        user=text("user"),
        working_dir=text("working_dir"),
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
