"""Secrets, JSON, env files, addresses and files from HTTP servers."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

BODY = b"contents\n"
SHA256 = hashlib.sha256(BODY).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/private") and self.headers["Authorization"] != "Bearer key":
            self.send_error(401)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/private")
            self.end_headers()
        elif self.path == "/none":
            self.send_error(404)
        else:
            self.send_response(200)
            if self.path == "/dated":
                self.send_header("Last-Modified", "Sun, 25 Mar 2001 20:00:00 GMT")
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is pytest's."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


async def test_a_file_is_fetched_and_called_as_in_the_url(dag: dagger.Client, server: str) -> None:
    file = dag.http(f"{server}/a/some.txt?x=1")
    assert [await file.name(), await file.contents()] == ["some.txt", BODY.decode()]
    assert await file.stat().permissions() == 0o600


async def test_a_fetched_file_gets_a_name_and_a_mode(dag: dagger.Client, server: str) -> None:
    file = dag.http(server, name="tool", permissions=0o755, checksum=f"sha256:{SHA256}")
    assert [await file.name(), await file.stat().permissions()] == ["tool", 0o755]


async def test_another_checksum_is_refused(dag: dagger.Client, server: str) -> None:
    with pytest.raises(dagger.QueryError, match=f"http checksum mismatch: expected .*{SHA256}"):
        await dag.http(server, checksum=f"sha256:{'0' * 64}").sync()


async def test_a_fetched_file_has_the_time_that_its_server_tells(
    dag: dagger.Client, base: dagger.Container, server: str
) -> None:
    for path, seconds in (("old", "0"), ("dated", "985550400")):
        made = base.with_file("/f", dag.http(f"{server}/{path}"))
        assert (await made.with_exec(["stat", "-c", "%Y", "/f"]).stdout()).strip() == seconds


async def test_a_file_is_fetched_from_a_service(dag: dagger.Client, base: dagger.Container) -> None:
    files = base.with_workdir("/srv").with_new_file("f", "served").with_exposed_port(8123)
    service = files.as_service(args=["python3", "-m", "http.server", "8123"])
    address = await service.endpoint(scheme="http")
    with pytest.raises(dagger.QueryError, match="failed to fetch"):
        await dag.http(f"{address}/f").contents()
    fetched = dag.http(f"{address}/f", experimental_service_host=service)
    assert await fetched.contents() == "served"
    await service.start()  # and then everybody knows its name
    assert await dag.http(f"{address}/f", name="other").contents() == "served"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{}/none", "invalid response status 404"),
        ("http://127.0.0.1:9/x", "failed to fetch http://127.0.0.1:9/x"),
        ("file:///etc/passwd", "begins with http"),
    ],
)
async def test_a_failed_fetch_says_why(
    dag: dagger.Client, server: str, url: str, message: str
) -> None:
    with pytest.raises(dagger.QueryError, match=message):
        await dag.http(url.format(server)).sync()


async def test_the_secret_of_a_fetch_is_not_for_who_is_redirected_to(
    dag: dagger.Client, server: str
) -> None:
    key = dag.set_secret("http-key", "Bearer key")
    assert await dag.http(f"{server}/private", auth_header=key).size() == len(BODY)
    with pytest.raises(dagger.QueryError, match="status 401"):
        await dag.http(f"{server}/moved", auth_header=key).sync()


async def test_a_secret_tells_its_source_and_not_more(dag: dagger.Client, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("value")
    secret = dag.secret(f"file://{tmp_path}/key")
    assert [await secret.uri(), await secret.plaintext()] == [f"file://{tmp_path}/key", "value"]
    assert await dag.set_secret("name", "value").uri() == ""
    with pytest.raises(dagger.QueryError, match='provider: "vault"; .* has env, file and cmd'):
        await dag.secret("vault://x").plaintext()


async def test_json_is_built_and_read(dag: dagger.Client) -> None:
    value = dag.json().with_field(["a", "b"], dag.json().new_integer(7))
    value = value.with_field(["a", "s"], dag.json().new_string("é"))
    assert await dag.json().new_boolean(False).as_boolean() is False
    assert json.loads(str(await value.contents())) == {"a": {"b": 7, "s": "é"}}
    assert str(await value.contents(pretty=True)).splitlines()[1] == '  "a": {'
    assert await value.field(["a"]).fields() == ["b", "s"]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("true", "as_integer", "cannot decode JSON boolean as an integer"),
        ("1.5", "as_integer", "cannot decode JSON number as an integer"),
        ("4294967296", "as_integer", "more than 32 bits"),
        ("[]", "fields", "cannot decode JSON array as an object"),
        ("NaN", "as_string", "invalid JSON"),
        ("[" * 100_000, "as_array", "invalid JSON"),
    ],
)
async def test_json_of_another_type_is_refused(
    dag: dagger.Client, text: str, field: str, message: str
) -> None:
    with pytest.raises(dagger.QueryError, match=message):
        await getattr(dag.file("j", text).as_json(), field)()


async def test_a_missing_json_field_is_named(dag: dagger.Client) -> None:
    value = dag.json().with_contents(dagger.JSON('{"a": {}}'))
    with pytest.raises(dagger.QueryError, match="no field a.b"):
        await value.field(["a", "b"]).as_string()


async def test_an_env_file_is_changed_and_written(dag: dagger.Client) -> None:
    env = dag.env_file().with_variable("A", "1").with_variable("B", "'$A'").with_variable("A", "2")
    assert await env.get("B") == "$A"
    assert await env.get("B", raw=True) == "'$A'"
    file = env.without_variable("B").as_file()
    assert [await file.name(), await file.contents()] == [".env", "A=2\n"]


async def test_an_address_becomes_what_is_asked_of_it(dag: dagger.Client, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    assert await dag.address(str(tmp_path)).directory().entries() == ["f"]
    assert await dag.address(f"file://{tmp_path}/f").file().contents() == "x"
    assert await dag.address(f"file://{tmp_path}/f").secret().plaintext() == "x"
    with pytest.raises(dagger.QueryError, match="failed to read git repository"):
        await dag.address("git://127.0.0.1:9/a.git").directory().sync()
    with pytest.raises(dagger.QueryError, match="tcp://HOST:PORT"):
        await dag.address("localhost").service().hostname()


async def test_the_address_of_a_port_is_a_service(
    dag: dagger.Client, base: dagger.Container, server: str
) -> None:
    service = dag.address(server.replace("http", "tcp")).service()
    port = server.rpartition(":")[2]
    ask = f"import urllib.request as r; print(r.urlopen('http://far:{port}').read())"
    made = base.with_service_binding("far", service).with_exec(["python3", "-c", ask])
    assert (await made.stdout()).strip() == repr(BODY)


async def test_a_refused_field_is_named_with_the_reason(dag: dagger.Client) -> None:
    with pytest.raises(dagger.QueryError) as raised:
        await dag.host().container_image("x").sync()
    assert "Host.containerImage is not in the embedded engine (there is no container" in str(
        raised.value
    )
