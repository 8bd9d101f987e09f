"""As whom registries are asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.registry.credentials import Credentials, Login, configuration, host_of
from engine.registry.errors import RegistryError

ALICE = Login(username="alice", password="a:b")
AUTH = "YWxpY2U6YTpi"  # alice:a:b


def login(tmp_path: Path, host: str, table: Any, given: dict[str, Login] | None = None) -> Any:
    file = tmp_path / "config.json"
    file.write_text(table if isinstance(table, str) else json.dumps(table))
    return Credentials(given or {}, file).of(host)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper called `test`; what it says is up to the test."""
    path = tmp_path / "docker-credential-test"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def say(text: str, code: int = 0) -> None:
        path.write_text(f"#!/bin/sh\ncat > {tmp_path}/asked\necho '{text}'\nexit {code}\n")
        path.chmod(0o755)

    say('{"ServerURL": "x", "Username": "alice", "Secret": "a:b"}')
    return path


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("r.example:5000", "r.example:5000"),
        ("https://r.example", "r.example"),
        ("https://r.example/v2/", "r.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_a_login_of_the_configuration_is_found(tmp_path: Path, key: str, host: str) -> None:
    assert login(tmp_path, host, {"auths": {key: {"auth": AUTH}}}) == ALICE
    assert login(tmp_path, "other.example", {"auths": {key: {"auth": AUTH}}}) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "alice", "password": "a:b"}, ALICE),
        ({"identitytoken": "t"}, Login(identity_token="t")),
        ({"registrytoken": "t"}, Login(registry_token="t")),
        ({}, None),
    ],
)
def test_logins_have_several_forms(tmp_path: Path, entry: Any, expected: Login | None) -> None:
    assert login(tmp_path, "r.example", {"auths": {"r.example": entry}}) == expected


def test_what_the_program_gives_counts_first(tmp_path: Path) -> None:
    bob = Login(username="bob", password="b")
    table = {"auths": {"r.example": {"auth": AUTH}}, "credsStore": "none-such"}
    assert login(tmp_path, "r.example", table, {"r.example": bob}) == bob


@pytest.mark.parametrize(
    ("table", "host", "asked"),
    [
        ({"credHelpers": {"r.example": "test"}}, "r.example", "r.example"),
        ({"credsStore": "test"}, "r.example", "r.example"),
        ({"credsStore": "test"}, "docker.io", "https://index.docker.io/v1/"),
        ({"credsStore": "none-such", "credHelpers": {"r.example": "test"}}, "r.example", None),
    ],
)
def test_a_helper_is_asked(
    helper: Path, tmp_path: Path, table: Any, host: str, asked: str | None
) -> None:
    assert login(tmp_path, host, table) == ALICE
    assert (tmp_path / "asked").read_text() == (asked or host)


def test_a_helpers_token_stands_for_a_user(helper: Path, tmp_path: Path) -> None:
    helper.write_text('#!/bin/sh\necho \'{"Username": "<token>", "Secret": "t"}\'\n')
    assert login(tmp_path, "r.example", {"credsStore": "test"}) == Login(identity_token="t")


def test_a_helper_that_keeps_nothing_is_passed_over(helper: Path, tmp_path: Path) -> None:
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
    table = {"credsStore": "test", "auths": {"r.example": {"auth": AUTH}}}
    assert login(tmp_path, "r.example", table) == ALICE
    assert login(tmp_path, "other.example", table) is None


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("#!/bin/sh\necho the vault is locked >&2\nexit 1\n", "test.* failed: the vault is locked"),
        ('#!/bin/sh\necho \'{"Username": "s3cret"}\'\n', "gave no answer"),
    ],
)
def test_a_helper_that_fails_is_named(
    helper: Path, tmp_path: Path, program: str, message: str
) -> None:
    helper.write_text(program)
    with pytest.raises(RegistryError, match=f"docker-credential-.*{message}") as caught:
        login(tmp_path, "r.example", {"credsStore": "test"})
    assert "s3cret" not in str(caught.value)


def test_a_helper_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="docker-credential-none-such.*not installed"):
        login(tmp_path, "r.example", {"credsStore": "none-such"})


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"r.example": {"auth": "%"}}}'])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(RegistryError, match="config.json"):
        login(tmp_path, "r.example", text)


def test_without_a_configuration_nobody_asks(tmp_path: Path) -> None:
    assert Credentials({}, tmp_path / "none").of("r.example") is None


def test_the_configuration_is_where_docker_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    assert configuration({}) == Path("/home/x/.docker/config.json")
    assert configuration({"DOCKER_CONFIG": "/c"}) == Path("/c/config.json")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("r.example", "r.example"),
        ("localhost:5000", "localhost:5000"),
        ("r.example/team/app:1", "r.example"),
        ("https://r.example/v2/", "r.example"),
        ("docker.io", "docker.io"),
        ("index.docker.io/v1/", "docker.io"),
        ("alice/app", "docker.io"),
    ],
)
def test_an_address_means_a_registry(address: str, host: str) -> None:
    assert host_of(address) == host
