"""HTTP to registries, from threads: connections, their time limits and proxies."""

from __future__ import annotations

import datetime as dt
import http.client
import io
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType

from engine.registry import trust
from engine.registry.connection import Connection, reason
from engine.registry.errors import Broken, Interrupted, RegistryError, Silent, Unreachable
from engine.stop import Stop

_BLOCK = 256 << 10
_LARGEST_TEXT = 32 << 20
# Of OpenSSL's verification errors: self-signed, or of an issuer that is not there.
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds and numbers that bound what a registry can do to the engine.

    `commit` is how long a registry may think about a blob that it has got; `slowest` is in bytes
    a second, over a whole transfer.
    """

    connect: float = 10
    silence: float = 30
    commit: float = 300
    tries: int = 5
    pause: float = 1
    longest_pause: float = 60
    slowest: int = 8 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent; a `body` on disk is read as it goes out."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path | None = None

    @property
    def origin(self) -> tuple[str, str]:
        """Scheme and `host:port`."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.scheme, parts.netloc


class Answer:
    """A registry's answer; its connection is given back at the end of the `with`."""

    def __init__(
        self, transport: Transport, connection: Connection, answer: http.client.HTTPResponse
    ) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._transport = transport
        self._connection = connection
        self._answer = answer
        self._left = answer.length  # None: nobody knows

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._left is not None and self._left < _BLOCK:
            with suppress(Interrupted, Unreachable):
                self.text()
        self._answer.close()
        self._transport.give_back(
            self._connection, usable=self._left == 0 and not self._answer.will_close
        )

    @property
    def after(self) -> float:
        """Seconds until another try makes sense, as the answer has it; 0 where it does not say."""
        text = self.headers.get("Retry-After", "")
        if text.isdecimal():
            return float(text)
        until, now = _moment(text), _moment(self.headers.get("Date", ""))
        if until is None:
            return 0
        # By the registry's own clock, which may be another than ours.
        return max(0, (until - (now or dt.datetime.now(dt.UTC))).total_seconds())

    def blocks(self, expected: int) -> Iterator[bytes]:
        """The body as it comes. Raises Silent, Broken, or Unreachable if it comes too slowly."""
        limits, started = self._transport.limits, time.monotonic()
        seconds = limits.silence + expected / limits.slowest
        while self._left != 0:
            self._transport.stop.check()
            if time.monotonic() > started + seconds:
                raise Unreachable(f"{self._connection.host} is too slow: no end in {seconds:.0f} s")
            block = self._block()
            if block:
                yield block
            elif self._left:
                raise Broken(f"{self._connection.host} broke off in the middle")
            else:
                self._left = 0

    def _block(self) -> bytes:
        host = self._connection.host
        try:
            # Not `read`: that would wait for a whole block, however slowly it came. It counts what
            # is left only since 3.11.8, and waits for more than the body before that.
            most = _BLOCK if self._left is None else min(_BLOCK, self._left)
            block = self._answer.read1(most)
        except TimeoutError:
            limit = self._transport.limits.silence
            raise Silent(f"{host} sent nothing for {limit:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"{host} broke off: {reason(error)}") from None
        if self._left is not None:
            self._left -= len(block)
        return block

    def text(self) -> bytes:
        """The whole body, which must be small."""
        whole = bytearray()
        for block in self.blocks(0):
            whole += block
            if len(whole) > _LARGEST_TEXT:
                raise RegistryError(f"{self._connection.host} sent a document that is too large")
        return bytes(whole)


class Transport:
    """Connections to registries for one pull or push; those that are idle are used again."""

    def __init__(self, stop: Stop, limits: Limits | None = None) -> None:
        self.stop = stop
        self.limits = limits or Limits()
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._unverified: set[str] = set()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._close(self._idle.pop())

    def trust_blindly(self, host: str) -> None:
        """Take whatever certificate `host` shows."""
        self._unverified.add(host)

    def speaks_plain_http(self, host: str) -> bool:
        """Whether there is a registry of plain HTTP at `host`. Raises Silent.

        Asked so, a server of TLS says 400 or hangs up; many a plain one says nothing to a TLS
        greeting, and waits for its next line.
        """
        request = Request(method="GET", url=f"http://{host}/v2/")
        try:
            with self.send(request, patience=self.limits.connect) as answer:
                return answer.status != 400 and not 300 <= answer.status < 400
        except Silent:
            raise
        except Unreachable:
            return False

    def send(self, request: Request, *, patience: float | None = None) -> Answer:
        """Send a request and wait for the head of the answer, for `patience` seconds.

        Raises Unreachable, Silent, Broken.
        """
        self.stop.check()
        connection = self._take(request.origin)
        try:
            connection.http.sock.settimeout(patience or self.limits.silence)
            answer = self._exchange(connection, request)
        except TimeoutError:
            self._close(connection)
            raise Silent(
                f"{connection.host} did not answer within {patience or self.limits.silence:.0f} s"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self._close(connection)
            raise Broken(f"{connection.host} broke off: {reason(error)}") from None
        except BaseException:
            self._close(connection)
            raise
        return Answer(self, connection, answer)

    def _exchange(self, connection: Connection, request: Request) -> http.client.HTTPResponse:
        parts = urllib.parse.urlsplit(request.url)
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        wire = connection.http
        wire.putrequest(request.method, connection.prefix + path, skip_accept_encoding=True)
        headers = {"User-Agent": "brewline", **connection.headers, **request.headers}
        body = request.body
        if isinstance(body, Path):
            headers["Content-Length"] = str(body.stat().st_size)
        elif body is not None or request.method in ("POST", "PUT"):
            headers["Content-Length"] = str(len(body or b""))
        for name, value in headers.items():
            wire.putheader(name, value)
        wire.endheaders()
        try:
            self._send_body(wire, body)
        except (ConnectionError, ssl.SSLError):
            connection.spoilt = True  # who refuses early says why before hanging up
        return wire.getresponse()

    def _send_body(self, wire: http.client.HTTPConnection, body: bytes | Path | None) -> None:
        with body.open("rb") if isinstance(body, Path) else io.BytesIO(body or b"") as file:
            while block := file.read(_BLOCK):
                self.stop.check()
                wire.send(block)

    def _take(self, origin: tuple[str, str]) -> Connection:
        with self._lock:
            for connection in self._idle:
                if connection.origin == origin:
                    self._idle.remove(connection)
                    return connection
        try:
            return self._connect(origin)
        except ssl.SSLError as error:
            raise RegistryError(f"{origin[1]} does not speak TLS: {reason(error)}") from None

    def _connect(self, origin: tuple[str, str]) -> Connection:
        scheme, host = origin
        context = None
        if scheme == "https":
            context = trust.context(host, verify=host not in self._unverified)
        connection = Connection(origin, context, self.limits.connect)
        try:
            connection.http.connect()
        except ssl.SSLCertVerificationError as error:
            cure = (
                f": put its authority into /etc/docker/certs.d/{host}/ca.crt, or name it in "
                "SSL_CERT_FILE"
            )
            raise RegistryError(
                f"the certificate of {host} is not trusted ({error.verify_message})"
                f"{cure if error.verify_code in _UNKNOWN_AUTHORITY else ''}"
            ) from None
        except ssl.SSLError:
            raise
        except TimeoutError:
            raise Unreachable(f"{host}: no connection in {self.limits.connect:.0f} s") from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise Unreachable(f"{host}: {reason(error)}") from None
        connection.socket = connection.http.sock
        self.stop.watch(connection.http.sock)
        return connection

    def give_back(self, connection: Connection, *, usable: bool) -> None:
        """The answer on this connection was read."""
        if not usable or connection.spoilt:
            self._close(connection)
            return
        with self._lock:
            self._idle.append(connection)

    def _close(self, connection: Connection) -> None:
        if connection.socket is not None:
            self.stop.forget(connection.socket)
        connection.http.close()


def _moment(text: str) -> dt.datetime | None:
    """The time in a header's value, if it is one."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return found.replace(tzinfo=found.tzinfo or dt.UTC)
