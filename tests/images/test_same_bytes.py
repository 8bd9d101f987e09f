"""Two builds of one commit are one image, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import registry
from ci.containers import PYTHON_IMAGE
from tests.images.product import begun, checkout

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="the embedded engine needs root"),
]


@pytest.fixture
def address(registry_program: Path, tmp_path: Path) -> Iterator[str]:
    with registry.running(registry_program, tmp_path) as address:
        yield address


def digest(folder: Path, tree: Path, address: str) -> str:
    """The digest of the image that a session of its own makes of a tree."""
    folder.mkdir()
    with begun(folder, tree) as session:
        reference = session.ask(lambda client: session.image(client).publish(f"{address}/a:b"))
    return str(reference).rpartition("@")[2]


def somebody_elses(tree: Path) -> Path:
    """A checkout as another user has it, on another day, who lets nobody else look into it."""
    for path in tree.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        if tree / "requirements" in (path, path.parent):
            continue  # all packages would be installed anew, to leave no trace of it
        os.chown(path, 1234, 1234)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return tree


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whose_checkout_it_is_and_of_when_makes_no_difference(tmp_path: Path, address: str) -> None:
    ours = digest(tmp_path / "1", checkout(tmp_path / "ours"), address)
    theirs = digest(tmp_path / "2", somebody_elses(checkout(tmp_path / "theirs")), address)
    assert ours == theirs


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_machines_that_know_nothing_make_the_same(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both have the image below from a registry: that is where one commit's builds have it from.
    with begun(tmp_path, tmp_path) as session:
        there = f"{address}/library/{PYTHON_IMAGE.partition('@')[0]}"
        session.ask(lambda client: client.container().from_(PYTHON_IMAGE).publish(there))
    mirror = tmp_path / "registries.conf"
    mirror.write_text(f'[[registry]]\nprefix = "docker.io"\nlocation = "{address}"\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(mirror))
    found = set()
    for name in ("one", "two"):
        monkeypatch.setenv("BREWLINE_STORE", str(tmp_path / f"{name}.store"))
        found.add(digest(tmp_path / name, checkout(tmp_path / f"{name}.tree"), address))
    assert len(found) == 1
