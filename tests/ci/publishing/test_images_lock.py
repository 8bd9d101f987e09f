"""`images lock`, on a machine whose mirror of the usual registry is a true one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import images_command, registry
from ci.command_line import parse
from ci.errors import CheckFailed, InfrastructureError
from ci.pinning.images import pins
from ci.publishing.destination import Destination
from ci.publishing.images import Published
from tests.ci.publishing import image, within
from tests.ci.publishing.proxy import limits
from tests.ci.publishing.proxy import running as proxy


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project that names one image twice."""
    (tmp_path / "tree" / "ci").mkdir(parents=True)
    (tmp_path / "tree" / "Dockerfile").write_text("FROM python:3.11\n")
    (tmp_path / "tree" / "compose.yaml").write_text("services:\n  a:\n    image: python:3.11\n")
    return tmp_path / "tree"


@pytest.fixture
def hub(registry_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What this machine has in the place of docker.io."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with registry.running(registry_program, tmp_path) as address:
        instead_of_docker(address, tmp_path, monkeypatch)
        yield address


def instead_of_docker(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "registries.conf"
    file.write_text(f'[[registry]]\nprefix = "docker.io"\nlocation = "{address}"\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(file))


def python(hub: str, content: str = "one") -> Published:
    """Another image under the name that the project gives."""
    where = Destination(repository=f"{hub}/library/python")
    return within(where, lambda r: image(r, "3.11", content=content))


def lock(tree: Path, *arguments: str) -> int:
    return images_command.main(parse(["images", "lock", *arguments], tree), tree)


def test_a_lock_pins_what_the_registry_has_and_again_when_that_moves(
    tree: Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = python(hub)
    assert lock(tree) == 0
    assert pins(tree) == {"python:3.11": {first.digest}}
    assert capsys.readouterr().out.splitlines() == [
        f"python:3.11 was not pinned: {first.digest}",
        "Dockerfile written",
        "compose.yaml written",
    ]
    assert lock(tree) == 0
    assert capsys.readouterr().out == f"python:3.11 is pinned to {first.digest}\n"
    second = python(hub, "two")
    assert lock(tree) == 0
    assert pins(tree) == {"python:3.11": {second.digest}}
    assert f"moved from {first.digest}: {second.digest}" in capsys.readouterr().out


def test_a_check_writes_nothing_and_fails_until_all_is_pinned(tree: Path, hub: str) -> None:
    python(hub)
    with pytest.raises(CheckFailed, match="Not pinned .*: python:3.11; run `images lock`"):
        lock(tree, "--check")
    assert pins(tree) == {"python:3.11": {""}}
    lock(tree)
    assert lock(tree, "--check") == 0


def test_a_program_is_told_in_json(
    tree: Path, hub: str, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = python(hub).digest
    lock(tree, "--json")
    assert json.loads(capsys.readouterr().out) == [
        {"image": "python:3.11", "digest": digest, "before": [], "moved": True}
    ]


def test_an_image_that_is_not_there_is_told_and_nothing_is_pinned(tree: Path, hub: str) -> None:
    python(hub)
    (tree / "ci" / "x.py").write_text('X_IMAGE = "postgres:15"\n')
    with pytest.raises(CheckFailed, match="docker.io has no image postgres:15: correct its name"):
        lock(tree)
    assert pins(tree)["python:3.11"] == {""}


def test_where_no_registry_is_reached_nothing_is_pinned(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead_of_docker("127.0.0.1:1", tmp_path, monkeypatch)
    with pytest.raises(InfrastructureError, match="python:3.11 is not to be had, and nothing was"):
        lock(tree)
    assert pins(tree) == {"python:3.11": {""}}


def test_a_registry_that_limits_its_answers_is_told(
    tree: Path, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(hub) as front:
        front.misdeed = limits(1, after="3600")
        instead_of_docker(front.address, tmp_path, monkeypatch)
        with pytest.raises(InfrastructureError, match="429 .*; try again later"):
            lock(tree)
