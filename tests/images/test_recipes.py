"""The recipes of the stand-ins: well formed, complete, and free of anything that names a host."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.pinning.images import pins
from engine.packages import read_pins
from tests.images.recipes import IMAGES, ROOT, names, recipes

RECIPES = [pytest.param(recipe, id=recipe["names"][0]) for recipe in recipes()]
FILES = [path for path in sorted(IMAGES.rglob("*")) if path.is_file()]
SCRIPTS = [path for path in FILES if path.read_bytes().startswith(b"#!")]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_has_one_source_that_exists(recipe: dict[str, Any]) -> None:
    (kind,) = {"bootstrap", "dockerfile"} & recipe.keys()

    path = IMAGES / recipe[kind]

    assert path.is_file()
    assert kind == "dockerfile" or os.access(path, os.X_OK)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_has_no_key_that_the_engine_would_not_read(recipe: dict[str, Any]) -> None:
    configuration = (
        {"env", "cmd", "entrypoint", "user", "workdir"} if "bootstrap" in recipe else set()
    )

    assert recipe.keys() <= {"names", "bootstrap", "dockerfile"} | configuration


def test_no_name_stands_twice_and_each_has_a_tag() -> None:
    assert len(names()) == len(set(names()))
    assert [name for name in names() if ":" not in name] == []


def references(path: Path) -> set[str]:
    """The images a file names, without their pins: by FROM, by `image:` without a build, by a
    constant `…IMAGE`."""
    return {named.partition("@")[0] for named in _named(path)}


def _named(path: Path) -> set[str]:
    if path.suffix == ".py":
        return _constants(ast.parse(path.read_text()))
    if path.suffix in {".yaml", ".yml"}:
        services = yaml.safe_load(path.read_text())["services"].values()
        return {service["image"] for service in services if "build" not in service}
    text = path.read_text()
    stages = set(re.findall(r"(?im)^FROM\s.*\sAS\s+(\S+)\s*$", text))
    return set(re.findall(r"(?im)^FROM\s+(?:--\S+\s+)*(\S+)", text)) - stages


def _constants(module: ast.Module) -> set[str]:
    return {
        node.value.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and any(isinstance(t, ast.Name) and t.id.endswith("IMAGE") for t in node.targets)
    }


NAMING = [
    ROOT / "Dockerfile",
    ROOT / "compose.yaml",
    *(IMAGES / recipe["dockerfile"] for recipe in recipes() if "dockerfile" in recipe),
    *(path for path in sorted((ROOT / "ci").rglob("*.py")) if references(path)),
]


@pytest.mark.parametrize("path", NAMING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_image_that_is_named_has_a_stand_in(path: Path) -> None:
    named = references(path)

    assert named, "a file of this list names an image, or this test looks for the wrong thing"
    assert named <= set(names())


def test_a_lock_finds_every_image_that_the_graph_names() -> None:
    ours = {path for path in NAMING if IMAGES not in path.parents}

    assert set(pins(ROOT)) == set().union(*(references(path) for path in ours))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(IMAGES)))
def test_script_can_be_parsed_by_its_shell(path: Path) -> None:
    shell = path.read_text().partition("\n")[0].removeprefix("#!")

    checked = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=120)

    assert checked.stderr == ""
    assert checked.returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(IMAGES)))
def test_recipe_names_no_host(path: Path) -> None:
    assert re.findall(r"\w+://\S+|\b[\w-]+\.(?:org|com|net|io)\b", path.read_text()) == []


PACKAGED = sorted({path.parent.name for path in IMAGES.glob("*/packages.*")})


@pytest.mark.parametrize("recipe", PACKAGED)
def test_what_comes_from_debian_is_pinned_by_hash_and_nothing_else_is_asked_for(
    recipe: str,
) -> None:
    own = read_pins(IMAGES / recipe)
    known = {pin.name for pin in (*own, *read_pins(IMAGES / "debian"))}
    wanted = set((IMAGES / recipe / "packages.in").read_text().split())
    text = "".join(path.read_text() for path in (IMAGES / recipe).glob("Dockerfile"))
    by_hand = set(re.findall(r"apt-get install((?: [\w.-]+)+)", text))
    named = {word for words in by_hand for word in words.split() if not word.startswith("-")}
    assert own and all(re.fullmatch("[0-9a-f]{64}", pin.sha256) for pin in own)
    assert {name for name in wanted | named if not name.startswith("?")} <= known


def test_every_recipe_that_installs_packages_of_debian_pins_them_on_the_same_base() -> None:
    files = [path for path in IMAGES.glob("*/Dockerfile") if "apt-get" in path.read_text()]
    assert {path.parent.name for path in files} | {"debian"} == set(PACKAGED)
    for path in files:
        assert references(path) == {"debian:bookworm-slim"}
        assert f"/run/pins/pin /run/pins/{path.parent.name} " in path.read_text()


def test_what_comes_from_the_package_index_is_pinned_by_hash() -> None:
    text = (IMAGES / "trivy" / "requirements.txt").read_text()

    assert re.search(r"^\S+==\S+ \\\n\s+--hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE)


def test_trivy_of_the_recipe_is_the_version_that_its_name_says() -> None:
    (name,) = (name for name in names() if name.startswith("aquasec/trivy:"))
    text = (IMAGES / "trivy" / "requirements.txt").read_text()

    assert f"=={name.partition(':')[2]}." in text
