"""What a registry wants to be shown before it answers: a password, or a token for one."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.jsontext import parse
from engine.registry.connection import basic
from engine.registry.credentials import Login
from engine.registry.errors import Busy, Denied, LoginWanted, RegistryError
from engine.registry.places import Place
from engine.registry.transport import Answer, Request, Transport

_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
_CLIENT = "brewline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the answer 401 asks for."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def challenge_of(answer: Answer) -> Challenge | None:
    """The challenge in an answer that can be met; a token rather than a password."""
    found = []
    for text in answer.headers.get_all("WWW-Authenticate") or ():
        scheme, _, rest = text.strip().partition(" ")
        named = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(rest)}
        found.append(Challenge(scheme=scheme.lower(), parameters=named))
    known = [challenge for challenge in found if challenge.scheme in ("bearer", "basic")]
    return min(known, key=lambda challenge: challenge.scheme != "bearer", default=None)


class Tokens:
    """The authorization for one registry and one login."""

    def __init__(self, transport: Transport, place: Place, login: Login | None) -> None:
        self._transport = transport
        self._host = place.host
        self._insecure = place.insecure
        self._login = login

    def header(self, challenge: Challenge, scopes: Iterable[str]) -> str:
        """The value of the header that meets a challenge. Raises Denied."""
        login = self._login
        if login and login.registry_token:
            return f"Bearer {login.registry_token}"
        if challenge.scheme == "bearer":
            return f"Bearer {self._token(challenge, scopes)}"
        if login is None or not login.username:
            raise self.denied()
        return basic(login.username, login.password)

    def denied(self) -> Denied:
        """The error for a registry that still does not answer."""
        if self._login is None:
            return LoginWanted(
                f"{self._host} wants a login, or does not have the image: "
                f"use with_registry_auth or `docker login {self._host}`"
            )
        return Denied(
            f"{self._host} does not accept the user name and password, "
            "or this user may not do that"
        )

    def _token(self, challenge: Challenge, scopes: Iterable[str]) -> str:
        realm = challenge.parameters.get("realm", "")
        if not realm.startswith(("https://", "http://")):
            raise RegistryError(f"{self._host} names no server of tokens")
        if realm.startswith("http://") and self._login and not self._insecure:
            raise RegistryError(
                f"{self._host} wants the login sent to {realm} in the clear: "
                "only one that registries.conf has as insecure may"
            )
        wanted = sorted({*scopes, *challenge.parameters.get("scope", "").split()})
        pairs = [("service", challenge.parameters.get("service", ""))]
        with self._transport.send(self._request(realm, pairs, wanted)) as answer:
            text = answer.text()
        if answer.status in (400, 401, 403):
            raise self.denied()
        if answer.status == 429 or answer.status >= 500:
            said = f"the server of tokens for {self._host} answered {answer.status}"
            raise Busy(said, after=answer.after)
        try:
            table = parse(text)
            return str(table.get("token") or table["access_token"])
        except (ValueError, KeyError, AttributeError, TypeError):
            raise RegistryError(f"the server of tokens for {self._host} gave none") from None

    def _request(self, realm: str, pairs: list[tuple[str, str]], scopes: list[str]) -> Request:
        login = self._login
        if login and login.identity_token:
            form = [*pairs, ("scope", " ".join(scopes)), ("client_id", _CLIENT)]
            form += [("grant_type", "refresh_token"), ("refresh_token", login.identity_token)]
            return Request(
                method="POST",
                url=realm,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urllib.parse.urlencode(form).encode(),
            )
        query = urllib.parse.urlencode([*pairs, *(("scope", scope) for scope in scopes)])
        headers = {}
        if login and login.username:
            headers["Authorization"] = basic(login.username, login.password)
        joined = "&" if "?" in realm else "?"
        return Request(method="GET", url=f"{realm}{joined}{query}", headers=headers)
