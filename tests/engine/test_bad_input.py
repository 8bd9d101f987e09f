"""What no client of ours sends: each gets an error, little memory, and the engine goes on."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.http import MOST_BYTES
from tests.engine import wire
from tests.engine.machine import family, wait_until
from tests.engine.wire import Engine

pytestmark = pytest.mark.engine

MOST_MEGABYTES = 250
DATA = "{container{withNewFile(path:%s,contents:%s){file(path:%s){contents}}}}"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine's log."""
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="module")
def engine(
    engine_bin: Path, log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """An engine with a store of its own, which all of these tests ask."""
    store = tmp_path_factory.mktemp("bad") / "store"
    with wire.started(engine_bin, {"BREWLINE_STORE": str(store)}, log) as running:
        yield running


@pytest.fixture(autouse=True)
def goes_on(engine: Engine, log: Path) -> Iterator[None]:
    """Fails a test after which the engine does not answer, is too big, or reports a bug."""
    yield
    assert engine.answers
    assert engine.peak_megabytes < MOST_MEGABYTES
    assert "Traceback" not in log.read_text()


VERSION = json.dumps({"query": "{version}"}).encode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Authorization": ""}, 401, id="no token"),
        pytest.param({"Authorization": "Basic d3Jvbmc6"}, 401, id="wrong token"),
        pytest.param({"Authorization": "Basic %%%"}, 401, id="no base64"),
        pytest.param({"Authorization": "Basic \xe9"}, 401, id="no ASCII"),
        pytest.param({"Authorization": "Bearer x"}, 401, id="another scheme"),
        pytest.param({"Origin": "https://example.com"}, 403, id="foreign origin"),
        pytest.param({"Origin": "null"}, 403, id="origin of a file"),
        pytest.param({"Host": "example.com"}, 403, id="foreign host"),
        pytest.param({"Host": "127.0.0.1.example.com"}, 403, id="host that begins like ours"),
        pytest.param({"Host": "localhost:1"}, 200, id="localhost"),
        pytest.param({}, 200, id="as the SDK asks"),
    ],
)
def test_who_may_ask(engine: Engine, headers: dict[str, str], status: int) -> None:
    assert engine.post(VERSION, headers)[0] == status


def test_token_of_another_length_or_a_part_of_it_is_refused(engine: Engine) -> None:
    for wrong in (engine.authorization[:-4], engine.authorization + "AAAA", "Basic "):
        assert engine.post(VERSION, {"Authorization": wrong})[0] == 401


def test_other_addresses_and_methods_are_not_there(engine: Engine) -> None:
    assert engine.post(VERSION, path="/")[0] == 404
    with engine.connect() as connection:
        asked = f"GET /query HTTP/1.1\r\nHost: localhost\r\nAuthorization: {engine.authorization}"
        connection.sendall(f"{asked}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="not closed"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{}", id="no query"),
        pytest.param(b'{"query": 5}', id="a number"),
        pytest.param(b'{"query": null}', id="null"),
        pytest.param(b'{"query": ["{version}"]}', id="a list"),
        pytest.param(b'"query"', id="a text"),
        pytest.param(b'{"query": "\xff\xfe"}', id="no UTF-8"),
        pytest.param(b"[" * 1_000_000, id="deep lists"),
        pytest.param(b'{"query":' * 200_000, id="deep objects"),
        pytest.param(b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}", id="deep and closed"),
        pytest.param(b"\0" * 10_000, id="zeros"),
        pytest.param(b"9" * 100_000, id="a long number"),
    ],
)
def test_body_that_is_no_query_is_refused(engine: Engine, body: bytes) -> None:
    status, said = engine.post(body)
    assert status == 400
    assert len(said) < 200


ID = "Container@" + "0" * 40
QUERIES = [
    pytest.param("", "", id="empty"),
    pytest.param("{", "", id="not closed"),
    pytest.param("{version", "", id="not closed after a field"),
    pytest.param("}", "", id="closed too often"),
    pytest.param("{version}}", "", id="more after the end"),
    pytest.param('{container{from(address:"x', "", id="text not closed"),
    pytest.param("{}", "", id="nothing selected"),
    pytest.param("nonsense", "", id="no GraphQL"),
    pytest.param("\0\1\2", "", id="control characters"),
    pytest.param("\ud800", "", id="half a character"),
    pytest.param("mutation{version}", "", id="a mutation"),
    pytest.param("subscription{version}", "", id="a subscription"),
    pytest.param("{nothing}", "nothing", id="unknown field"),
    pytest.param("{container{nothing{id}}}", "nothing", id="unknown field of an object"),
    pytest.param("{version(a: 1)}", "a", id="unknown argument"),
    pytest.param("{container{from(address: 5){id}}}", "address", id="number for a text"),
    pytest.param("{container{from{id}}}", "address", id="argument left out"),
    pytest.param("{container{from(address: null){id}}}", "address", id="null for an argument"),
    pytest.param(
        '{container{withExec(args: "ls"){exitCode}}}', "", id="text where a list is meant"
    ),
    pytest.param("{container{withExec(args: [[1]]){exitCode}}}", "args", id="list of lists"),
    pytest.param("{container{withExec(args: {a: 1}){exitCode}}}", "args", id="object for a list"),
    pytest.param(
        '{container{withExec(args: ["ls"], expect: NONE){exitCode}}}', "", id="unknown choice"
    ),
    pytest.param(
        "{container{withExposedPort(port: 99999999999999999999){id}}}", "port", id="big number"
    ),
    pytest.param(
        '{container{withExposedPort(port: "1"){id}}}', "port", id="text where a number is meant"
    ),
    pytest.param(
        '{directory{withNewFile(path:"a\\u0000b",contents:"x"){entries}}}',
        "NUL",
        id="NUL in a path",
    ),
    pytest.param(
        '{container{withExec(args:["a","b\\u0000"]){stdout}}}', "NUL", id="NUL in a command"
    ),
    pytest.param("{container}", "", id="object without a selection"),
    pytest.param("{version{id}}", "", id="selection of a text"),
    pytest.param('{node(id: "nonsense"){id}}', "nonsense", id="garbage for an ID"),
    pytest.param(f'{{node(id: "{ID}"){{id}}}}', "session", id="forged ID"),
    pytest.param('{node(id: ""){id}}', "", id="empty ID"),
    pytest.param("{node(id: 5){id}}", "", id="number for an ID"),
    pytest.param(
        f'{{container{{withDirectory(path:"/",source:"{ID}"){{sync}}}}}}', "session", id="as source"
    ),
    pytest.param("{container{...F}}", "", id="unknown fragment"),
    pytest.param("{...on Nothing{id}}", "", id="fragment of an unknown type"),
    pytest.param("query($a: String){container{from(address: $a){id}}}", "", id="a variable"),
    pytest.param('{container{withExec(args:["ls"]){stdout}}}', "", id="command without any files"),
    pytest.param("{" + "container{" * 300_000 + "id" + "}" * 300_001, "", id="deep nesting"),
    pytest.param("{" * 1_000_000, "", id="deep opening"),
    pytest.param("{version(a:" + "[" * 1_000_000, "", id="deep list"),
    pytest.param("{version(a:" + "{a:" * 1_000_000, "", id="deep object"),
    pytest.param("{version(a:" + "[" * 9_000 + "]" * 9_000 + ")}", "", id="list nested less deep"),
]


@pytest.mark.parametrize(("query", "word"), QUERIES)
def test_query_that_cannot_be_answered_is_an_error(engine: Engine, query: str, word: str) -> None:
    error = engine.error(query)
    assert word in error["message"]
    assert len(error["message"]) < 1000


@pytest.mark.parametrize(
    "plaintext",
    [
        pytest.param('["hunter2"]', id="a list"),
        pytest.param("hunter2", id="a word"),
        pytest.param('{a: "hunter2"}', id="an object"),
        pytest.param('"hunter2', id="text not closed"),
        pytest.param('"hunter2", more: 1', id="more than there is"),
        pytest.param('"hunter2\\q"', id="no such escape"),
    ],
)
def test_error_does_not_tell_a_secret(engine: Engine, log: Path, plaintext: str) -> None:
    query = f'{{setSecret(name: "s", plaintext: {plaintext}){{id}}}}'
    assert "hunter2" not in json.dumps(engine.error(query))
    assert "hunter2" not in log.read_text()


def test_id_of_another_session_is_refused(engine: Engine, engine_bin: Path, tmp_path: Path) -> None:
    store = {"BREWLINE_STORE": str(tmp_path / "store")}
    query = '{container{withNewFile(path:"/f",contents:"x"){id}}}'
    with wire.started(engine_bin, store, tmp_path / "log") as other:
        foreign = other.query(query)["data"]["container"]["withNewFile"]["id"]
        own = engine.query(query)["data"]["container"]["withNewFile"]["id"]
        assert own != foreign
        error = engine.error(f'{{node(id: "{foreign}"){{id}}}}')
    assert "not one of this session" in error["message"]


def test_id_of_another_type_is_refused(engine: Engine) -> None:
    directory = engine.query("{directory{id}}")["data"]["directory"]["id"]
    error = engine.error(f'{{node(id: "{directory}"){{... on Container{{stdout}}}}}}')
    assert "Container" in error["message"]
    error = engine.error(f'{{container{{withFile(path:"/f",source:"{directory}"){{sync}}}}}}')
    assert "File" in error["message"]


def test_names_of_the_query_language_are_ordinary_contents(engine: Engine) -> None:
    for text in ("__schema", "{__schema{types{name}}}", '"}{', "query IntrospectionQuery{__schema"):
        given = [json.dumps(each, ensure_ascii=False) for each in ("/f", text, "/f")]
        found = engine.query(DATA % tuple(given))["data"]
        assert found["container"]["withNewFile"]["file"]["contents"] == text


def test_contents_may_hold_any_character(engine: Engine) -> None:
    found = engine.query(DATA % ('"f"', '"a\\u0000b"', '"f"'))
    assert found["data"]["container"]["withNewFile"]["file"]["contents"] == "a\0b"


def test_query_of_some_megabytes_is_answered(engine: Engine) -> None:
    text = "0123456789é" * 1_200_000
    query = "{container{withNewFile(path:%s,contents:%s){file(path:%s){size}}}}"
    found = engine.query(query % tuple(json.dumps(each) for each in ("/f", text, "/f")))["data"]
    assert found["container"]["withNewFile"]["file"]["size"] == 12 * 1_200_000


def test_query_that_is_too_long_is_an_error(engine: Engine) -> None:
    status, body = engine.post(b'{"query": "' + b" " * MOST_BYTES + b'"}')
    assert status == 200
    [error] = json.loads(body)["errors"]
    assert "longer than 24 MiB" in error["message"]
    assert set(error) == {"message", "locations", "path", "extensions"}


def test_long_body_of_a_stranger_is_not_taken(engine: Engine) -> None:
    with engine.connect() as connection:
        head = b"POST /query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
        sent = 0
        try:
            for _ in range(3000):
                sent += connection.send(b"x" * 1_000_000)
        except OSError:
            pass  # closed: what we want
    assert engine.peak_megabytes < MOST_MEGABYTES


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no request"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, id="many headers"),
        pytest.param(b"GET /" + b"a" * 1_000_000, id="long address"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="version to come"),
        pytest.param(b"POST /query HTTP/1.1\r\nContent-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(b"POST /query HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n", id="two hosts"),
    ],
)
def test_what_is_no_request_is_refused(engine: Engine, said: bytes) -> None:
    with engine.connect() as connection:
        try:
            connection.sendall(said)
            got = connection.recv(1000)
        except ConnectionError:
            return
    assert got.startswith(b"HTTP/1.1 4")


def test_many_silent_strangers_do_not_keep_a_client_out(engine: Engine) -> None:
    strangers: list[socket.socket] = []
    try:
        for number in range(1000):
            strangers.append(engine.connect())
            if number % 2:
                strangers[-1].sendall(b"POST /query HTTP/1.1\r\nHo")
            if number % 100 == 0:
                assert engine.answers
        started = time.monotonic()
        assert engine.answers
        assert time.monotonic() - started < 25
    finally:
        for stranger in strangers:
            stranger.close()


def test_clients_that_stop_in_the_middle_are_forgotten(engine: Engine) -> None:
    head = f"POST /query HTTP/1.1\r\nHost: localhost\r\nAuthorization: {engine.authorization}\r\n"
    for rest in ("", "Content-Length: 100\r\n\r\n", 'Content-Length: 100\r\n\r\n{"query": "'):
        for _ in range(50):
            with engine.connect() as connection:
                connection.sendall(f"{head}{rest}".encode())
    server = engine.server
    # Any client that is silent is forgotten, but only after 30 seconds.
    assert wait_until(lambda: len(_sockets(server)) < 30, 20)


def _sockets(pid: int) -> set[str]:
    """The numbers of a process's sockets: none of one that has ended."""
    with suppress(OSError):
        links = [_link(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        return {link[8:-1] for link in links if link.startswith("socket:[")}
    return set()


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def test_client_that_does_not_read_its_answer_holds_up_nobody(engine: Engine) -> None:
    text = json.dumps("x" * 8_000_000)
    query = DATA % ('"/f"', text, '"/f"')
    body = json.dumps({"query": query}).encode()
    head = f"POST /query HTTP/1.1\r\nHost: localhost\r\nAuthorization: {engine.authorization}\r\n"
    with engine.connect() as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.5)
        assert engine.answers


def test_random_bytes_and_broken_queries_do_no_harm(engine: Engine) -> None:
    chance = random.Random(4)
    good = '{container{from(address:"a:1"){withExec(args:["ls","-l"],expect:ANY){id}}}}'
    for _ in range(300):
        broken = list(good)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(broken))
            broken[at] = chance.choice(["", "{", "}", "(", '"', "\\", "é", "\0", broken[at] * 2])
        response = engine.query("".join(broken))
        assert set(response) in ({"data"}, {"data", "errors"})


def test_listeners_are_on_loopback_alone(engine: Engine) -> None:
    sockets = {number for process in family(engine.pid) for number in _sockets(process.pid)}
    listening = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in sockets and (fields[3] == "0A" or table.startswith("udp")):
                listening.append(fields[1].partition(":")[0])
    assert listening == ["0100007F"]
