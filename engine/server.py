"""The session's API over HTTP: GraphQL on loopback, for who has the token."""

from __future__ import annotations

import base64
import hmac
import json

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from engine import http
from engine.lazy import Lazy

Answer: TypeAlias = Callable[[str], Awaitable[dict[str, Any]]]
"""Gives the GraphQL response to a query."""

_JSON = "application/json"


class Api:
    """The session's API; what answers queries may still be on its way up."""

    def __init__(self, introspection: Lazy[bytes], answer: Lazy[Answer], token: str) -> None:
        self._introspection = introspection
        self._answer = answer
        self._expected = b"Basic " + base64.b64encode(f"{token}:".encode())

    async def __call__(self, request: http.Request) -> http.Response:
        """The response to a request."""
        if request.path != "/query" or request.method != "POST":
            return http.Response(404, b"there is POST /query only\n")
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            return http.Response(401, b"missing or wrong session token\n")
        # A browser names the page that asks; the SDK does not.
        if "origin" in request.headers:
            return http.Response(403, b"not for browsers\n")
        try:
            text = json.loads(request.body)["query"]
        except (ValueError, KeyError, TypeError):
            return http.Response(400, b"the body must be JSON with a query\n")
        if "__schema" in text:
            return http.Response(200, await self._introspection.get(), _JSON)
        answer = await self._answer.get()
        return http.Response(200, _encoded(await answer(text)), _JSON)


def _encoded(value: object) -> bytes:
    # Bytes of file names that are no UTF-8 are surrogates here, which cannot be sent.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
