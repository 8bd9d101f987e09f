"""One service as the file defines it: which keys are taken, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass

from ci.compose import fields
from ci.compose.healthcheck import healthcheck
from ci.compose.mounts import mounts
from ci.compose.nodes import Node
from ci.compose.ports import exposed, ports
from ci.compose.texts import Texts, mounted
from ci.compose.types import Service

# Keys whose absence changes nothing in a stack that lives for one run.
WITHOUT_EFFECT = frozenset(
    {
        "annotations",
        "attach",
        "develop",
        "init",
        "label_file",
        "labels",
        "logging",
        "pull_policy",
        "pull_refresh_after",
        "restart",
        "stop_grace_period",
        "stop_signal",
    }
)
TAKEN = frozenset(
    {
        "build",
        "command",
        "configs",
        "container_name",
        "depends_on",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extends",
        "healthcheck",
        "image",
        "networks",
        "ports",
        "profiles",
        "secrets",
        "tmpfs",
        "user",
        "volumes",
        "working_dir",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the file declares for all of its services."""

    volumes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset({"default"})
    configs: Texts
    secrets: Texts


def service(name: str, node: Node, declared: Declared) -> Service:
    """The service that `node` defines."""
    given = node.fields(f"service {name}", *TAKEN, *WITHOUT_EFFECT)
    for key in WITHOUT_EFFECT & given.keys():
        given[key].resolve()
    if "image" not in given and "build" not in given:
        raise node.error(f"service {name} has neither 'image' nor 'build'")

    def text(key: str) -> str | None:
        return given[key].string() if key in given else None

    def command(key: str) -> tuple[str, ...] | None:
        return fields.command(given[key]) if key in given else None

    def items(key: str) -> list[Node]:
        return given[key].items() if key in given else []

    aliases = fields.aliases(given["networks"], declared.networks) if "networks" in given else ()
    own_name = text("container_name")
    published = [port for item in items("ports") for port in ports(item)]
    return Service(
        name=name,
        image=text("image"),
        build=fields.build(given["build"]) if "build" in given else None,
        command=command("command"),
        entrypoint=command("entrypoint"),
        environment=fields.variables(given.get("environment"), given.get("env_file")),
        depends_on=fields.depends_on(given["depends_on"]) if "depends_on" in given else (),
        healthcheck=healthcheck(given["healthcheck"]) if "healthcheck" in given else None,
        mounts=tuple(mounts(items("volumes"), given.get("tmpfs"), declared.volumes)),
        texts=(
            *(mounted(item, declared.configs, secret=False) for item in items("configs")),
            *(mounted(item, declared.secrets, secret=True) for item in items("secrets")),
        ),
        ports=tuple(
            dict.fromkeys([*published, *(port for i in items("expose") for port in exposed(i))])
        ),
        aliases=tuple(dict.fromkeys([*((own_name,) if own_name else ()), *aliases])),
        profiles=frozenset(given["profiles"].strings() if "profiles" in given else ()),
        user=text("user"),
        working_dir=text("working_dir"),
    )
