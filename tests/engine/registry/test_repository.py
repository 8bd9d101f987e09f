"""What the engine makes of registries that hang, lie, break off and refuse."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from engine.registry.credentials import Login
from engine.registry.errors import Busy, Denied, NotFound, RegistryError, Unreachable
from engine.registry.places import Place
from engine.registry.repository import Repository
from engine.registry.tokens import Challenge, Tokens
from engine.registry.transport import Limits, Transport
from engine.stop import Stop, Stopped
from tests.engine.registry import crooked
from tests.engine.registry.crooked import Crooked, Handler, Misdeed, cut, digest, hang_up, refuse

QUICK = Limits(tries=4, pause=0.01, longest_pause=3)
HASTY = replace(QUICK, silence=0.5)
BLOB = os.urandom(700_000)


@pytest.fixture
def server() -> Iterator[Crooked]:
    with crooked.running() as made:
        yield made


@pytest.fixture
def stop() -> Stop:
    return Stop()


class Ask(Protocol):
    """Makes a repository of a registry."""

    def __call__(
        self, host: str, limits: Limits = QUICK, login: Login | None = None
    ) -> Repository: ...


@pytest.fixture
def ask(stop: Stop) -> Iterator[Ask]:
    transports = []

    def repository(host: str, limits: Limits = QUICK, login: Login | None = None) -> Repository:
        transports.append(Transport(stop, limits))
        place = Place(host=host, repository="a", insecure=host.startswith("127."))
        return Repository(transports[-1], place, login)

    yield repository
    for transport in transports:
        transport.close()


def downloaded(asked: Repository, wanted: str, folder: Path) -> bytes:
    asked.download(wanted, len(BLOB), folder / "blob")
    return (folder / "blob").read_bytes()


def test_a_blob_is_fetched_whole_in_one_request(server: Crooked, ask: Ask, tmp_path: Path) -> None:
    assert downloaded(ask(server.address), server.keep(BLOB), tmp_path) == BLOB
    assert len(server.seen) == 1


def test_a_blob_that_breaks_off_goes_on_where_it_stopped(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    server.misdeeds = [cut(BLOB, 300_000), hang_up]
    assert downloaded(ask(server.address), server.keep(BLOB), tmp_path) == BLOB
    assert [headers.get("Range") for _, _, headers in server.seen] == [
        None,
        "bytes=300000-",
        "bytes=300000-",
    ]


def test_a_blob_begins_anew_where_the_registry_does_not_know_ranges(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    server.misdeeds, server.ranges = [cut(BLOB, 300_000)], False
    assert downloaded(ask(server.address), server.keep(BLOB), tmp_path) == BLOB


def test_a_registry_that_always_breaks_off_is_given_up(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    server.misdeeds = [cut(BLOB, 1000)] * 9
    server.ranges = False
    with pytest.raises(Unreachable, match=f"{server.address} broke off in the middle"):
        downloaded(ask(server.address), server.keep(BLOB), tmp_path)
    assert len(server.seen) == QUICK.tries


def test_a_registry_that_hangs_is_given_up_in_time(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    server.misdeeds = [server.hang] * 9
    with pytest.raises(Unreachable, match="did not answer within"):
        ask(server.address, HASTY).manifest("latest")
    assert len(server.seen) == 2 < HASTY.tries


def test_a_registry_that_hangs_from_the_start_is_given_up_in_time(
    server: Crooked, ask: Ask
) -> None:
    server.mute, server.misdeeds = True, [server.hang] * 9
    with pytest.raises(Unreachable, match="did not answer within"):
        ask(server.address, Limits(connect=0.5)).manifest("latest")


def test_a_registry_that_hangs_in_the_middle_is_given_up_in_time(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    def misdeed(handler: Handler) -> bool:
        handler.reply(200, BLOB[:1000], Content_Length=str(len(BLOB)))
        return server.hang(handler)

    server.misdeeds = [misdeed] * 9
    with pytest.raises(Unreachable, match="sent nothing for"):
        downloaded(ask(server.address, HASTY), server.keep(BLOB), tmp_path)
    assert len(server.seen) == 2 < HASTY.tries


def test_a_registry_that_trickles_is_given_up_in_time(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    def misdeed(handler: Handler) -> bool:
        handler.reply(200, Content_Length=str(len(BLOB)))
        while not server.ended.wait(0.05):
            handler.wfile.write(b"x")
        return True

    server.misdeeds = [misdeed]
    asked = ask(server.address, Limits(silence=2, slowest=10_000_000))
    with pytest.raises(Unreachable, match="too slow"):
        downloaded(asked, server.keep(BLOB), tmp_path)


def test_work_that_is_given_up_ends_at_once(server: Crooked, ask: Ask, stop: Stop) -> None:
    server.misdeeds = [server.hang]
    timer = threading.Timer(0.2, stop.tell)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(Stopped):
        ask(server.address, Limits()).manifest("latest")
    timer.join()
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("lie", [b"other", BLOB[:-1] + b"?"], ids=["shorter", "as long"])
def test_a_blob_of_another_digest_is_refused(
    server: Crooked, ask: Ask, tmp_path: Path, lie: bytes
) -> None:
    server.blobs[digest(BLOB)] = lie
    with pytest.raises(RegistryError, match=f"its digest is {digest(lie)}, not {digest(BLOB)}"):
        downloaded(ask(server.address), digest(BLOB), tmp_path)
    with pytest.raises(RegistryError, match="not the one asked for"):
        ask(server.address).small_blob(digest(BLOB))


def test_a_blob_that_is_longer_than_told_ends(server: Crooked, ask: Ask, tmp_path: Path) -> None:
    server.blobs[digest(BLOB)] = BLOB * 20
    with pytest.raises(RegistryError, match="sent more than the blob"):
        downloaded(ask(server.address), digest(BLOB), tmp_path)
    assert (tmp_path / "blob").stat().st_size < 2 * len(BLOB)


def test_a_manifest_of_another_digest_is_refused(server: Crooked, ask: Ask) -> None:
    server.blobs[digest(b"{}")] = b"{ }"
    with pytest.raises(RegistryError, match="a manifest that is not the one asked for"):
        ask(server.address).manifest(digest(b"{}"))


def test_a_manifest_that_is_not_what_its_header_says_is_refused(server: Crooked, ask: Ask) -> None:
    def misdeed(handler: Handler) -> bool:
        handler.reply(200, b"{ }", Docker_Content_Digest=digest(b"{}"))
        return True

    server.misdeeds = [misdeed]
    with pytest.raises(RegistryError, match="a manifest that is not the one asked for"):
        ask(server.address).manifest("latest")


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({"Retry_After": "1"}, id="seconds"),
        pytest.param(
            {
                "Retry_After": "Wed, 01 Jan 2020 12:00:01 GMT",
                "Date": "Wed, 01 Jan 2020 12:00:00 GMT",
            },
            id="time-by-the-registry's-clock",
        ),
    ],
)
def test_a_limit_of_pulls_is_waited_for(server: Crooked, ask: Ask, after: dict[str, str]) -> None:
    server.misdeeds = [refuse(429, **after), refuse(503)]
    begin = time.monotonic()
    assert ask(server.address).manifest(server.keep(b"{}")).data == b"{}"
    assert time.monotonic() - begin >= 1


@pytest.mark.parametrize("after", ["Wed, 01 Jan 2020 12:00:01 GMT", "soon", "Wed, 99 Jan 2020", ""])
def test_a_time_that_is_over_or_none_is_not_waited_for(
    server: Crooked, ask: Ask, after: str
) -> None:
    server.misdeeds = [refuse(429, Retry_After=after)]
    assert ask(server.address).manifest(server.keep(b"{}")).data == b"{}"


def test_a_limit_of_tokens_is_waited_for(server: Crooked, ask: Ask) -> None:
    realm = f'Bearer realm="http://{server.address}/token"'
    server.misdeeds = [refuse(401, WWW_Authenticate=realm), refuse(429, Retry_After="3600")]
    with pytest.raises(Busy, match="the server of tokens for .* answered 429") as caught:
        ask(server.address).manifest("latest")
    assert caught.value.after == 3600


@pytest.mark.parametrize("wait", ["0", "3600"])
def test_a_limit_of_pulls_that_stays_is_told(server: Crooked, ask: Ask, wait: str) -> None:
    server.misdeeds = [refuse(429, Retry_After=wait)] * 9
    begin = time.monotonic()
    with pytest.raises(Busy, match=r"answered 429 \(not today\): .* wait, or log in"):
        ask(server.address, replace(QUICK, longest_pause=60)).manifest("latest")
    assert time.monotonic() - begin < 30  # no pause, were it but the longest


def test_what_is_not_there_is_not_asked_for_again(server: Crooked, ask: Ask) -> None:
    with pytest.raises(NotFound):
        ask(server.address).manifest("latest")
    assert len(server.seen) == 1


def test_the_login_is_not_shown_to_whom_the_registry_sends_us(server: Crooked, ask: Ask) -> None:
    body = b'{"made": "elsewhere"}'
    with crooked.running() as storage:
        storage.keep(body)
        there = f"http://{storage.address}/{digest(body)}"
        server.misdeeds = [
            refuse(401, WWW_Authenticate='Basic realm="x"'),
            refuse(307, Location=there),
        ]
        asked = ask(server.address, login=Login(username="u", password="p"))
        assert asked.small_blob(digest(body)) == body
        assert "Authorization" in server.seen[1][2]
        assert "Authorization" not in storage.seen[0][2]


def test_a_registry_that_sends_us_round_in_a_circle_is_given_up(server: Crooked, ask: Ask) -> None:
    server.misdeeds = [refuse(307, Location="/v2/a/blobs/x")] * 20
    with pytest.raises(RegistryError, match="answered 307"):
        ask(server.address).small_blob(digest(b""))


def test_a_token_is_fetched_with_the_login_and_shown(server: Crooked, ask: Ask) -> None:
    def token(handler: Handler) -> bool:
        handler.reply(200, b'{"token": "t0ken"}')
        return True

    realm = f'Bearer realm="http://{server.address}/token",service="s",scope="repository:a:pull"'
    server.misdeeds = [refuse(401, WWW_Authenticate=realm), token]
    asked = ask(server.address, login=Login(username="u", password="p"))
    assert asked.manifest(server.keep(b"{}")).data == b"{}"
    (_, path, headers), (_, _, shown) = server.seen[1:]
    assert path == "/token?service=s&scope=repository%3Aa%3Apull"
    assert headers["Authorization"] == "Basic dTpw"
    assert shown["Authorization"] == "Bearer t0ken"


def test_a_token_or_a_reason_that_nests_too_deeply_is_none(server: Crooked, ask: Ask) -> None:
    def deep(status: int) -> Callable[[Handler], bool]:
        def answer(handler: Handler) -> bool:
            handler.reply(status, b"[" * 200_000)
            return True

        return answer

    realm = f'Bearer realm="http://{server.address}/token"'
    server.misdeeds = [refuse(401, WWW_Authenticate=realm), deep(200)]
    with pytest.raises(RegistryError, match="the server of tokens for .* gave none"):
        ask(server.address).manifest("latest")
    server.misdeeds = [deep(418)]
    with pytest.raises(RegistryError, match="answered 418"):
        ask(server.address).manifest("latest")


def test_no_login_is_sent_in_the_clear_for_a_registry_that_is_asked_by_tls(server: Crooked) -> None:
    transport = Transport(Stop())
    place = Place(host="registry.example", repository="a")
    tokens = Tokens(transport, place, Login(username="u", password="s3cret"))
    realm = f"http://{server.address}/token"
    with pytest.raises(RegistryError, match="in the clear") as caught:
        tokens.header(
            Challenge(scheme="bearer", parameters={"realm": realm}), ["repository:a:pull"]
        )
    transport.close()
    assert server.seen == []
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (None, "wants a login, or does not have the image: .*docker login"),
        (Login(username="u", password="s3cret"), "does not accept the user name and password"),
    ],
    ids=["nobody", "wrong password"],
)
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_who_may_not_is_told_so_and_what_to_do(
    server: Crooked, ask: Ask, login: Login | None, message: str, scheme: str
) -> None:
    challenge = f'{scheme} realm="http://{server.address}/token"'
    server.misdeeds = [refuse(401, WWW_Authenticate=challenge)] * 9
    with pytest.raises(Denied, match=message) as caught:
        ask(server.address, login=login).manifest("latest")
    assert "s3cret" not in str(caught.value)


SUBJECT = digest(b"image")


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(f"/v2/a/referrers/{SUBJECT}?page=1", id="path"),
        pytest.param("?page=1", id="relative"),
        pytest.param(f"http://{{address}}/v2/a/referrers/{SUBJECT}?page=1", id="url"),
    ],
)
def test_referrers_are_read_page_by_page(server: Crooked, ask: Ask, link: str) -> None:
    server.referrers = [(b"one", link.format(address=server.address)), (b"two", "")]
    assert ask(server.address).referrers(SUBJECT) == [b"one", b"two"]
    assert server.asked("GET") == [f"/v2/a/referrers/{SUBJECT}{page}" for page in ("", "?page=1")]


def test_a_registry_that_knows_no_referrers_is_told_from_one_that_has_none(
    server: Crooked, ask: Ask
) -> None:
    assert ask(server.address).referrers(SUBJECT) is None
    server.referrers = [(b'{"manifests":[]}', "")]
    assert ask(server.address).referrers(SUBJECT) == [b'{"manifests":[]}']


def other_type(handler: Handler) -> bool:
    handler.reply(200, b"<html>", Content_Type="text/html")
    return True


@pytest.mark.parametrize("misdeed", [refuse(404), other_type], ids=["not-found", "no-index"])
def test_referrers_that_end_in_the_middle_do_not_pass_for_none(
    server: Crooked, ask: Ask, misdeed: Misdeed
) -> None:
    server.referrers = [(b"one", "?page=1"), (b"two", "")]
    server.misdeeds = [lambda _: False, misdeed]
    with pytest.raises(RegistryError, match="lacks the next page"):
        ask(server.address).referrers(SUBJECT)


def test_referrers_without_an_end_are_given_up(server: Crooked, ask: Ask) -> None:
    server.referrers = [(b"one", "?page=0")]
    with pytest.raises(RegistryError, match="has no end of what refers to"):
        ask(server.address).referrers(SUBJECT)
    assert len(server.seen) == 50


def test_an_upload_that_breaks_off_is_sent_again(server: Crooked, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BLOB)
    answered: list[str] = []

    def go_on(handler: Handler) -> bool:
        answered.append(handler.command)
        return False

    server.misdeeds = [go_on, hang_up]
    ask(server.address).upload(digest(BLOB), tmp_path / "blob")
    assert server.blobs[digest(BLOB)] == BLOB
    assert [method for method, _, _ in server.seen] == ["POST", "PUT", "HEAD", "POST", "PUT"]


def test_an_upload_whose_answer_was_lost_is_not_sent_again(server: Crooked, ask: Ask) -> None:
    def taken(handler: Handler) -> bool:
        server.keep(handler.rfile.read(int(handler.headers["Content-Length"])))
        handler.break_off()
        return True

    server.misdeeds = [lambda _: False, taken]
    ask(server.address).upload(digest(b"x"), b"x")
    assert [method for method, _, _ in server.seen] == ["POST", "PUT", "HEAD"]


def test_a_refusal_in_the_middle_of_an_upload_is_told(
    server: Crooked, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "blob").write_bytes(os.urandom(30 << 20))

    def too_large(handler: Handler) -> bool:
        handler.close_connection = True
        return refuse(413, Connection="close")(handler)

    server.misdeeds = [lambda _: False, too_large]
    with pytest.raises(RegistryError, match="413|broke off"):
        ask(server.address).upload(digest(b""), tmp_path / "blob")


def test_a_connection_is_used_again(server: Crooked, ask: Ask) -> None:
    asked = ask(server.address)
    for _ in range(3):
        asked.manifest(server.keep(b"{}"))
    assert server.connections == 1


def test_a_host_that_does_not_answer_at_all_is_unreachable(ask: Ask) -> None:
    with pytest.raises(Unreachable, match="127.0.0.1:9: connection refused"):
        ask("127.0.0.1:9").manifest("latest")
    with pytest.raises(Unreachable, match="no-such-host.invalid: "):
        ask("no-such-host.invalid").manifest("latest")
