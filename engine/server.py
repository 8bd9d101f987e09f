"""The session's HTTP server: GraphQL on loopback, for who has the token."""

from __future__ import annotations

import base64
import hmac
import json
import socket
from collections.abc import Awaitable

from aiohttp import web
from graphql import GraphQLSchema

from engine import query, schema
from engine.session import Session

_MOST_BYTES = 256 << 20  # contents of files travel inside a query


class Server:
    """Answers the queries of one session."""

    def __init__(self, session: Session, graphql_schema: GraphQLSchema, token: str) -> None:
        self._session = session
        self._schema = graphql_schema
        self._expected = b"Basic " + base64.b64encode(f"{token}:".encode())
        self._introspection: bytes | None = None

    async def serve(self, listener: socket.socket, until: Awaitable[None]) -> None:
        """Answer on a bound socket until `until` is done."""
        application = web.Application(client_max_size=_MOST_BYTES)
        application.router.add_post("/query", self._query)
        # A client that goes away must not leave its work running.
        runner = web.AppRunner(application, handler_cancellation=True, access_log=None)
        await runner.setup()
        site = web.SockSite(runner, listener, shutdown_timeout=0.5)
        await site.start()
        try:
            await until
        finally:
            await runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            return web.Response(status=401, text="missing or wrong session token\n")
        # A browser names the page that asks; the SDK does not.
        if "Origin" in request.headers:
            return web.Response(status=403, text="not for browsers\n")
        body = await request.json()
        text = body["query"]
        if "__schema" in text:
            return web.Response(body=self._introspected(), content_type="application/json")
        answer = await query.answer(self._session.calls, self._schema, text)
        return web.json_response(answer, dumps=_dumps)

    def _introspected(self) -> bytes:
        if self._introspection is None:
            self._introspection = schema.introspection(self._schema, self._session.store.path)
        return self._introspection


def _dumps(value: object) -> str:
    # Bytes of file names that are no UTF-8 are surrogates here, which cannot be sent.
    return json.dumps(value).encode("utf-8", "replace").decode()
