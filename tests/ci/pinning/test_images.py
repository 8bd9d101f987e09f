from __future__ import annotations

from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.pinning.images import pin, pinned_text, pins

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
DOCKERFILE = """\
# FROM python:3.11-slim is what an explanation may say.
FROM --platform=$BUILDPLATFORM python:3.11-slim-bookworm AS packages
FROM packages
COPY --from=python:3.11-slim-bookworm /a /b
"""
COMPOSE = """\
services:
  ours:
    image: ${BREWLINE_IMAGE:-brewline:local}
  api:
    image: python:3.11-slim-bookworm
  away:
    image: "registry.test:5000/team/tool:1.0"
  database:
    image: postgres:15-bookworm
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "ci" / "stages").mkdir(parents=True)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "ci" / "stages" / "scan.py").write_text('TRIVY_IMAGE = "aquasec/trivy:0.76.0"\n')
    return tmp_path


def test_every_image_is_found_where_it_is_declared_and_nowhere_else(tree: Path) -> None:
    assert pins(tree) == {
        "aquasec/trivy:0.76.0": {""},
        "postgres:15-bookworm": {""},
        "python:3.11-slim-bookworm": {""},
        "registry.test:5000/team/tool:1.0": {""},
    }


def test_a_pin_stands_behind_its_name_in_every_file(tree: Path) -> None:
    digests = {"python:3.11-slim-bookworm": ONE, "aquasec/trivy:0.76.0": TWO}
    changed = pin(tree, digests)
    assert {str(path.relative_to(tree)) for path in changed} == {
        "Dockerfile",
        "compose.yaml",
        "ci/stages/scan.py",
    }
    assert pins(tree) == {
        "aquasec/trivy:0.76.0": {TWO},
        "postgres:15-bookworm": {""},
        "python:3.11-slim-bookworm": {ONE},
        "registry.test:5000/team/tool:1.0": {""},
    }
    assert f"python:3.11-slim-bookworm@{ONE} AS packages" in (tree / "Dockerfile").read_text()
    assert f'_IMAGE = "aquasec/trivy:0.76.0@{TWO}"' in (tree / "ci/stages/scan.py").read_text()


def test_a_second_pin_takes_the_place_of_the_first(tree: Path) -> None:
    pin(tree, {"postgres:15-bookworm": ONE})
    assert pin(tree, {"postgres:15-bookworm": ONE}) == ()
    pin(tree, {"postgres:15-bookworm": TWO})
    assert pins(tree)["postgres:15-bookworm"] == {TWO}
    assert ONE not in (tree / "compose.yaml").read_text()


def test_all_but_the_pins_stays_as_it_is() -> None:
    pinned = pinned_text(DOCKERFILE, {"python:3.11-slim-bookworm": ONE})
    assert pinned.replace(f"@{ONE}", "") == DOCKERFILE
    assert pinned.count(ONE) == 1


def test_a_file_that_is_not_there_is_told(tree: Path) -> None:
    (tree / "compose.yaml").unlink()
    with pytest.raises(UsageError, match="compose.yaml names images and cannot be read"):
        pins(tree)
