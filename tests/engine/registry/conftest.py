"""Debian's docker-registry on loopback: with plain HTTP, with TLS, with a password."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import registry

PASSWORD = "w0nderland"
HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuulNkXT5.5.iXH4MBrjZ6oXLeOPqpdoPy\n"


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores, of which the second never sees what is made in the first."""
    return tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("store")


@pytest.fixture
def env(stores: tuple[Path, Path], tmp_path: Path) -> dict[str, str]:
    """Settings of a program: a store, no logins, and what no other test puts into an image."""
    return {
        "BREWLINE_STORE": str(stores[0]),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "NONCE": uuid.uuid4().hex,
    }


@pytest.fixture
def elsewhere(stores: tuple[Path, Path]) -> dict[str, str]:
    """What makes of `env` the settings of a program on another machine."""
    return {"BREWLINE_STORE": str(stores[1])}


@pytest.fixture
def plain(registry_program: Path, tmp_path: Path) -> Iterator[str]:
    """A registry that anybody may use."""
    with registry.running(
        registry_program, tmp_path, {"REGISTRY_LOG_ACCESSLOG_DISABLED": "false"}
    ) as address:
        yield address


@pytest.fixture
def guarded(registry_program: Path, tmp_path: Path) -> Iterator[str]:
    """A registry of alice alone."""
    folder = tmp_path / "guarded"
    folder.mkdir()
    (folder / "htpasswd").write_text(HTPASSWD)
    settings = {
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "here",
        "REGISTRY_AUTH_HTPASSWD_PATH": str(folder / "htpasswd"),
    }
    with registry.running(registry_program, folder, settings) as address:
        yield address


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A private authority's certificate, beside `server.crt` and `server.key` for 127.0.0.2."""
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=IP:127.0.0.2\n")
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -batch"
    for command in (
        f"{new} -x509 -days 2 -subj /CN=private -keyout ca.key -out ca.crt",
        f"{new} -subj /CN=registry -keyout server.key -out server.csr",
        "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile names -out server.crt",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "ca.crt"


@pytest.fixture
def secure(registry_program: Path, authority: Path) -> Iterator[str]:
    """A registry that speaks TLS, on an address that is not taken for this machine's own."""
    folder = authority.parent
    settings = {
        "REGISTRY_HTTP_ADDR": "127.0.0.2:0",
        "REGISTRY_HTTP_TLS_CERTIFICATE": str(folder / "server.crt"),
        "REGISTRY_HTTP_TLS_KEY": str(folder / "server.key"),
    }
    with registry.running(registry_program, folder, settings) as address:
        yield address
