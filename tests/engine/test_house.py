"""Imports go down: values and errors, store and runtime, the graph, the API, the server."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine"

# The floors from the lowest to the highest; a module that is not named belongs to the graph.
VALUES = (
    "errors jsontext lazy longtext linux matching patterns gitignore permissions typesystem "
    "document definitions schema kept settings requirements launcher process stop oci"
).split()
STORE_AND_RUNTIME = (
    "store reboot usage pruning tidying upkeep liveness root selection explanation snapshot tree "
    "placement users network client runtime terminal certificates executor"
).split()
API = "calls query api api_table".split()
SERVER = "http server session serve start __main__".split()


def floor(module: str) -> int:
    """The floor of `module`, a name below the package."""
    first = module.split(".")[0]
    for number, rooms in ((0, VALUES), (1, STORE_AND_RUNTIME), (3, API), (4, SERVER)):
        if first in rooms:
            return number
    return 2


def modules() -> dict[str, Path]:
    """Each module of the engine by its name below the package."""
    found = {}
    for path in ENGINE.rglob("*.py"):
        name = ".".join(path.relative_to(ENGINE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """The engine's modules that a file imports where it is imported itself."""
    known = modules()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engine"):
            base = (node.module or "").removeprefix("engine").lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                yield inner if inner in known else base


@pytest.mark.parametrize("name", sorted(modules()))
def test_module_imports_nothing_from_above(name: str) -> None:
    higher = [each for each in imported(modules()[name]) if floor(each) > floor(name)]
    # What registers resolvers is a package's own list of modules, without any of them.
    assert [each for each in higher if each != "api"] == []


def test_every_floor_has_its_modules() -> None:
    named = {*VALUES, *STORE_AND_RUNTIME, *API, *SERVER}
    there = {name.split(".")[0] for name in modules()}
    assert named <= there


def test_no_module_imports_itself_by_way_of_others() -> None:
    below = {name: set(imported(path)) for name, path in modules().items()}
    done: set[str] = set()
    while ready := {n for n, needs in below.items() if n not in done and needs <= done | {n}}:
        done |= ready
    assert set(below) - done == set()
