"""Questions to a repository: logins, redirects, refusals, and what is tried again."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from engine.jsontext import parse
from engine.registry.credentials import Login
from engine.registry.errors import Busy, Interrupted, NotFound, RegistryError, Silent
from engine.registry.places import Place
from engine.registry.tokens import Tokens, challenge_of
from engine.registry.transport import Answer, Request, Transport

T = TypeVar("T")

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_MOST_SILENCES = 2
_LONGEST_REASON = 200


class Client:
    """Asks a repository as somebody."""

    def __init__(
        self, transport: Transport, place: Place, login: Login | None, *, push: bool = False
    ) -> None:
        self.host = place.host
        self.name = place.repository
        self._transport = transport
        self._address = place.address
        self._insecure = place.insecure
        self._tokens = Tokens(transport, place, login)
        self._scopes = {f"repository:{self.name}:{'pull,push' if push else 'pull'}"}
        self._authorization = ""
        self._base = ""

    def retried(self, attempt: Callable[[], T]) -> T:
        """What `attempt` comes to, tried again while it is interrupted."""
        limits, silences = self._transport.limits, 0
        for number in range(limits.tries):
            try:
                return attempt()
            except Interrupted as error:
                silences += isinstance(error, Silent)
                pause = max(limits.pause * 2**number, error.after)
                last = number + 1 == limits.tries or silences == _MOST_SILENCES
                if last or pause > limits.longest_pause:
                    raise
                self._transport.stop.wait(pause)
        raise AssertionError("the last try returns or raises")

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Path | None = None,
        *,
        follow: bool = True,
    ) -> Answer:
        """The answer to a request that was granted, redirects followed."""
        request = Request(method=method, url=self.url(path), headers=headers or {}, body=body)
        answer = self._authorized(request)
        for _ in range(_MOST_REDIRECTS):
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                break
            if not follow:
                return answer
            with answer:
                url = urllib.parse.urljoin(request.url, location)
            request = replace(request, url=url)
            answer = self._authorized(request)
        self._check(answer)
        return answer

    def url(self, path: str) -> str:
        if "://" in path:
            return path
        if not self._base:
            scheme = "https"
            if self._insecure:
                self._transport.trust_blindly(self._address)
                scheme = "http" if self._transport.speaks_plain_http(self._address) else "https"
            self._base = f"{scheme}://{self._address}"
        return f"{self._base}/v2/{self.name}/{path}"

    def _authorized(self, request: Request) -> Answer:
        # Not for others to whom the registry sends us: a storage refuses a login, a stranger
        # keeps it.
        answer = self._send(self._signed(request))
        challenge = challenge_of(answer) if answer.status == 401 else None
        if challenge is None or not request.url.startswith(self._base + "/"):
            return answer
        with answer:
            pass
        # A token may have run out; a second refusal is meant.
        self._authorization = self._tokens.header(challenge, self._scopes)
        return self._send(self._signed(request))

    def _signed(self, request: Request) -> Request:
        if not self._authorization or not request.url.startswith(self._base + "/"):
            return request
        headers = {**request.headers, "Authorization": self._authorization}
        return replace(request, headers=headers)

    def _send(self, request: Request) -> Answer:
        patience = self._transport.limits.commit if request.method == "PUT" else None
        return self._transport.send(request, patience=patience)

    def _check(self, answer: Answer) -> None:
        """Raise what the status of an answer means."""
        if answer.status < 300:
            return
        with answer:
            reason = _reason(answer)
        said = f"{self.host} answered {answer.status}{reason}"
        if answer.status == 404:
            raise NotFound(said)
        if answer.status in (401, 403):
            raise self._tokens.denied()
        if answer.status == 429:
            hint = "it limits how often it is asked: wait, or log in"
            raise Busy(f"{said}: {hint}", after=answer.after)
        if answer.status >= 500:
            raise Busy(said, after=answer.after)
        raise RegistryError(said)


def _reason(answer: Answer) -> str:
    """The first error in an answer's body, as the specification has them."""
    try:
        error = parse(answer.text())["errors"][0]
        text = str(error.get("message") or error["code"])
    except (RegistryError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f" ({text[:_LONGEST_REASON]})"
