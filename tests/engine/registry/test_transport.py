"""The way to a registry: certificates and proxies."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.registry import trust
from engine.registry.errors import RegistryError, Unreachable
from engine.registry.transport import Limits, Request, Transport
from engine.stop import Stop
from tests.engine.registry import crooked


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport(Stop(), Limits())
    yield made
    made.close()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[crooked.Crooked]:
    """A proxy that this machine must use."""
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with crooked.running() as server:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://us%40r:word@{server.address}")
        yield server


def test_plain_http_goes_by_the_proxy(proxied: crooked.Crooked, transport: Transport) -> None:
    name = proxied.keep(b"content")
    with transport.send(Request(method="GET", url=f"http://r.example/x/{name}")) as answer:
        assert answer.text() == b"content"
    ((method, path, headers),) = proxied.seen
    assert (method, path) == ("GET", f"http://r.example/x/{name}")
    assert headers["Proxy-Authorization"] == "Basic dXNAcjp3b3Jk"


def test_tls_goes_through_the_proxy(proxied: crooked.Crooked, transport: Transport) -> None:
    with pytest.raises(Unreachable, match="r.example: Tunnel connection failed: 501"):
        transport.send(Request(method="GET", url="https://r.example/"))


def test_this_machine_is_not_behind_its_proxy(
    proxied: crooked.Crooked, transport: Transport
) -> None:
    with crooked.running() as server:
        name = server.keep(b"here")
        with transport.send(Request(method="GET", url=f"http://{server.address}/{name}")) as answer:
            assert answer.text() == b"here"
    assert not proxied.seen


@pytest.mark.parametrize(("told", "cure"), [(True, False), (False, True)], ids=["name", "issuer"])
def test_an_authority_is_asked_for_where_it_is_what_lacks(
    authority: Path, transport: Transport, monkeypatch: pytest.MonkeyPatch, told: bool, cure: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority if told else os.devnull))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(authority.with_name("server.crt"), authority.with_name("server.key"))

    def greet(server: socket.socket) -> None:
        with suppress(OSError), ours.wrap_socket(server.accept()[0], server_side=True):
            pass

    # An address that the certificate does not name.
    with socket.create_server(("127.0.0.9", 0)) as server:
        thread = threading.Thread(target=greet, args=(server,))
        thread.start()
        with pytest.raises(RegistryError, match="is not trusted") as raised:
            transport.send(
                Request(method="GET", url=f"https://127.0.0.9:{server.getsockname()[1]}/")
            )
        thread.join()
    assert ("ca.crt" in str(raised.value)) is cure


def believes(made: ssl.SSLContext, authority: Path) -> bool:
    return ssl.PEM_cert_to_DER_cert(authority.read_text()) in made.get_ca_certs(binary_form=True)


def test_authorities_of_a_host_s_folder_are_believed(authority: Path, tmp_path: Path) -> None:
    folder = tmp_path / "certs.d"
    (folder / "r.example:5000").mkdir(parents=True)
    (folder / "r.example:5000" / "ours.crt").write_bytes(authority.read_bytes())
    made = trust.context("r.example:5000", verify=True, folders=[folder])
    assert believes(made, authority)
    other = trust.context("r.example", verify=True, folders=[folder])
    assert not believes(other, authority)


@pytest.mark.parametrize("name", ["ca.crt", "client.cert"])
def test_a_damaged_file_of_a_host_s_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "r.example").mkdir()
    (tmp_path / "r.example" / name).write_text("no certificate")
    with pytest.raises(RegistryError, match=f"r.example/{name} cannot be used"):
        trust.context("r.example", verify=True, folders=[tmp_path])


def test_a_client_s_certificate_is_shown(authority: Path, tmp_path: Path) -> None:
    (tmp_path / "r.example").mkdir()
    for suffix, file in (("cert", "server.crt"), ("key", "server.key")):
        data = (authority.parent / file).read_bytes()
        (tmp_path / "r.example" / f"client.{suffix}").write_bytes(data)
    trust.context("r.example", verify=True, folders=[tmp_path])
