"""Debian's docker-registry with TLS and a password, and an image in it that is no stand-in."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import registry
from ci.publishing.destination import Destination
from ci.publishing.images import Published
from tests.ci.publishing import HTPASSWD, PASSWORD, USER, image, within
from tests.ci.publishing.proxy import Proxy
from tests.ci.publishing.proxy import running as proxy


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a private authority (`ca.crt`) and its certificate for 127.0.0.1 and .2."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,IP:127.0.0.2\n")
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -batch"
    for command in (
        f"{new} -x509 -days 2 -subj /CN=private -keyout ca.key -out ca.crt",
        f"{new} -subj /CN=registry -keyout server.key -out server.csr",
        "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile names -out server.crt",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def settings(tls: Path) -> dict[str, str]:
    """Of a registry that speaks TLS on an address that is not taken for this machine's own."""
    (tls / "htpasswd").write_text(HTPASSWD)
    return {
        "REGISTRY_HTTP_ADDR": "127.0.0.2:0",
        "REGISTRY_HTTP_TLS_CERTIFICATE": str(tls / "server.crt"),
        "REGISTRY_HTTP_TLS_KEY": str(tls / "server.key"),
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "here",
        "REGISTRY_AUTH_HTPASSWD_PATH": str(tls / "htpasswd"),
    }


@pytest.fixture(scope="session")
def secure(
    registry_program: Path, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """`host:port` of such a registry."""
    with registry.running(registry_program, tmp_path_factory.mktemp("registry"), settings) as found:
        yield found


@pytest.fixture
def address(secure: str, tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The registry's address, on a machine that trusts its authority and knows no login."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.crt"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return secure


@pytest.fixture
def where(address: str) -> Destination:
    """A repository there that no other test uses, and as whom it is used."""
    name = uuid.uuid4().hex
    return Destination(repository=f"{address}/our/{name}", user=USER, password=PASSWORD)


@pytest.fixture
def published(where: Destination) -> Published:
    """An image that was pushed under its commit's tag."""
    return within(where, lambda repository: image(repository, "sha-abcdef0"))


@pytest.fixture
def faulty(registry_program: Path, tmp_path: Path) -> Iterator[Proxy]:
    """A registry on loopback that anybody may use, by way of somebody who does as a test says."""
    folder = tmp_path / "plain"
    folder.mkdir()
    with registry.running(registry_program, folder) as behind, proxy(behind) as front:
        yield front


@pytest.fixture
def behind_faults(faulty: Proxy) -> Destination:
    """A repository of that registry."""
    return Destination(repository=f"{faulty.address}/our/product")
