"""Compose files beside the specification: its JSON schema, and what `docs/compose.md` says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from ci.compose import read_compose
from ci.compose.definition import TAKEN, WITHOUT_EFFECT
from ci.compose.types import ComposeError

ROOT = Path(__file__).parents[2]
FILES = sorted((Path(__file__).parent / "stacks").glob("*.yaml"))
ROW = re.compile(r"^\| `([a-z_]+)` \| (taken|no effect|refused) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The specification's schema, as a package of `requirements/dev.txt` ships it."""
    try:
        folder = resources.files("check_jsonschema")
    except ModuleNotFoundError:
        pytest.skip("check-jsonschema, which ships the schema, is not installed")
    return dict(json.loads((folder / "builtin_schemas/vendor/compose-spec.json").read_text()))


def service_keys(schema: dict[str, Any], name: str = "service") -> Iterator[str]:
    """The keys of a service; the schema has them in parts."""
    part = schema["$defs"][name]
    yield from part.get("properties", {})
    for reference in part.get("allOf", ()):
        if "$ref" in reference:
            yield from service_keys(schema, reference["$ref"].rpartition("/")[2])


def documented(heading: str) -> dict[str, str]:
    """What one table of the page says of each key."""
    page = (ROOT / "docs" / "compose.md").read_text()
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(ROW.findall(section))


@pytest.mark.parametrize("file", [ROOT / "compose.yaml", *FILES], ids=lambda path: path.stem)
def test_the_file_is_what_the_specification_allows(schema: dict[str, Any], file: Path) -> None:
    validator = Draft202012Validator(schema)
    found = [error.message for error in validator.iter_errors(yaml.safe_load(file.read_text()))]
    assert found == []


def test_the_schema_would_tell_of_an_error(schema: dict[str, Any]) -> None:
    wrong = {"services": {"a": {"image": "i", "comand": "x"}}}
    assert not Draft202012Validator(schema).is_valid(wrong)


def test_the_page_says_of_every_key_of_a_service_what_becomes_of_it() -> None:
    said = documented("A service")
    assert {key for key, word in said.items() if word == "taken"} == TAKEN
    assert {key for key, word in said.items() if word == "no effect"} == WITHOUT_EFFECT


def test_the_page_knows_every_key_of_the_specification(schema: dict[str, Any]) -> None:
    assert set(documented("A service")) == set(service_keys(schema))
    assert set(documented("The file")) == set(schema["properties"])


@pytest.mark.parametrize("heading", ["The file", "A service"])
def test_every_refused_key_of_the_page_is_refused(tmp_path: Path, heading: str) -> None:
    for key in (key for key, word in documented(heading).items() if word == "refused"):
        indent, line = ("    ", 4) if heading == "A service" else ("", 1)
        head = "services:\n  a:\n    image: i\n" if indent else ""
        (tmp_path / "compose.yaml").write_text(f"{head}{indent}{key}: {{}}\n")
        with pytest.raises(ComposeError, match=rf"compose.yaml:{line}: .*'{key}' is not supp"):
            read_compose(tmp_path / "compose.yaml", {})
