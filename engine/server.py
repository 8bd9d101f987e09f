"""The session's API over HTTP: GraphQL on loopback, for who has the token."""

from __future__ import annotations

import base64
import hmac
import itertools
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from engine import http, jsontext
from engine.errors import EngineError, told
from engine.lazy import Lazy
from engine.longtext import to_json

Answer: TypeAlias = Callable[[str], Awaitable[dict[str, Any]]]
"""Gives the GraphQL response to a query."""

_JSON = "application/json"
# What the SDK asks when it connects. It need not wait for the imports that all else needs.
_INTROSPECTION = re.compile(r"\s*(query\s*\w*\s*)?\{\s*__schema\b")
_GREETING = re.compile(r"\s*\{\s*version\s*\}\s*")
_OURS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


class Api:
    """The session's API; what answers queries may still be on its way up."""

    def __init__(
        self, introspection: Lazy[bytes], greeting: Lazy[bytes], answer: Lazy[Answer], token: str
    ) -> None:
        self._introspection = introspection
        self._greeting = greeting
        self._answer = answer
        self._expected = b"Basic " + base64.b64encode(f"{token}:".encode())

    def refusal(self, head: http.Head) -> http.Response | None:
        """Why a request is not let in."""
        # A browser names the page that asks; the SDK does not.
        if "origin" in head.headers:
            return http.Response(403, b"not for browsers\n")
        # A page whose name was made to point here is of the same origin as we, but names itself.
        if not _OURS.fullmatch(head.headers.get("host", "")):
            return http.Response(403, b"ask 127.0.0.1\n")
        if head.path != "/query" or head.method != "POST":
            return http.Response(404, b"there is POST /query only\n")
        given = head.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            return http.Response(401, b"missing or wrong session token\n")
        return None

    def too_long(self) -> http.Response:
        """The answer to a query of more bytes than one may have."""
        return _failure(
            f"the query is longer than {http.MOST_BYTES >> 20} MiB: "
            "give large contents by host().file() or host().directory()"
        )

    async def answer(self, body: bytearray) -> http.Response:
        """The response to a query."""
        try:
            text = jsontext.parse(body)["query"]
        except (ValueError, LookupError, TypeError):
            text = None
        body.clear()
        if not isinstance(text, str):
            return http.Response(400, b"the body must be JSON with a query\n")
        try:
            if _INTROSPECTION.match(text):
                return http.Response(200, await self._introspection.get(), _JSON)
            if _GREETING.fullmatch(text):
                return http.Response(200, await self._greeting.get(), _JSON)
            answer = await self._answer.get()
            return http.Response(200, _body(to_json(await answer(text))), _JSON)
        except EngineError as error:
            return _failure(str(error))
        except OSError as error:
            return _failure(told(error))
        except Exception as error:
            # No query, it may hold a secret.
            traceback.print_exception(error, file=sys.stderr)
            return _failure(f"the engine has a bug: {type(error).__name__}")


def _failure(message: str) -> http.Response:
    error = {"message": message, "locations": [], "path": [], "extensions": {}}
    return http.Response(200, b"".join(to_json({"data": None, "errors": [error]})), _JSON)


def _body(blocks: Iterator[bytes]) -> bytes | Iterator[bytes]:
    """The blocks as one if there is but one, as in nearly all answers."""
    first = next(blocks)
    second = next(blocks, None)
    return first if second is None else itertools.chain((first, second), blocks)
