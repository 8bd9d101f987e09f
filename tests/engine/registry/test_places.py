"""Where images are fetched from and sent to."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.oci.reference import parse_reference
from engine.registry.errors import RegistryError
from engine.registry.places import Place, files, is_loopback, to_pull, to_push

SETTINGS = """
unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.example/hub"
[[registry.mirror]]
location = "10.0.0.1:5000"
insecure = true
pull-from-mirror = "digest-only"

[[registry]]
prefix = "old.example/team"
location = "new.example/group/team"

[[registry]]
location = "lab.example:5000"
insecure = true
mirror-by-digest-only = true
[[registry.mirror]]
location = "mirror.example/lab"

[[registry]]
prefix = "*.bad.example"
blocked = true

[[registry]]
prefix = "fine.bad.example"
location = "fine.bad.example"
"""


@pytest.fixture
def settings(tmp_path: Path) -> list[Path]:
    (tmp_path / "registries.conf").write_text(SETTINGS)
    return [tmp_path / "registries.conf", tmp_path / "not-there.conf"]


def pulled(name: str, settings: list[Path]) -> list[str]:
    found = to_pull(parse_reference(name), settings)
    return [f"{place.address}/{place.repository}{'!' * place.insecure}" for place in found]


D = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("python:3", ["mirror.example/hub/library/python", "registry-1.docker.io/library/python"]),
        (
            f"a/b@{D}",
            ["mirror.example/hub/a/b", "10.0.0.1:5000/a/b!", "registry-1.docker.io/a/b"],
        ),
        ("old.example/team/app", ["new.example/group/team/app"]),
        ("old.example/teams/app", ["old.example/teams/app"]),
        ("lab.example:5000/x:1", ["lab.example:5000/x!"]),
        (f"lab.example:5000/x:1@{D}", ["mirror.example/lab/x", "lab.example:5000/x!"]),
        ("fine.bad.example/x", ["fine.bad.example/x"]),
        ("localhost:5000/x", ["localhost:5000/x!"]),
        ("r.example/x", ["r.example/x"]),
    ],
)
def test_mirrors_come_first(name: str, expected: list[str], settings: list[Path]) -> None:
    assert pulled(name, settings) == expected


def test_a_blocked_registry_is_refused(settings: list[Path]) -> None:
    with pytest.raises(RegistryError, match="a.bad.example is blocked by the registries.conf"):
        pulled("a.bad.example/x", settings)


def test_nothing_is_sent_to_a_mirror(settings: list[Path]) -> None:
    expected = Place(host="docker.io", repository="a/b")
    assert to_push(parse_reference("a/b:1"), settings) == expected


@pytest.mark.parametrize("text", ["[[registry]", "registry = 3", "registry = [3]"])
def test_damaged_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.conf").write_text(text)
    with pytest.raises(RegistryError, match="r.conf cannot be read"):
        pulled("python", [tmp_path / "r.conf"])


def test_the_settings_are_where_podman_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files({})[0] == Path("/etc/containers/registries.conf")
    own = tmp_path / ".config/containers/registries.conf"
    own.parent.mkdir(parents=True)
    own.touch()
    assert files({})[0] == own
    assert files({"CONTAINERS_REGISTRIES_CONF": "/x"}) == [Path("/x")]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1:5000", "[::1]:5000", "[::1]"]
)
def test_this_machine_is_told_from_others(host: str) -> None:
    assert is_loopback(host)
    assert not is_loopback(f"x{host}")
