"""Integration: the stack of `compose.yaml` is started, the DAG runs in it, its lake is verified."""

from __future__ import annotations

import hashlib
import secrets
import time
from itertools import count

from ci.compose import read_compose
from ci.sourcetree import IMAGE_SOURCE
from ci.stack import API, COMPOSE_FILE, DRIVER, drive, failure, spent, variables
from ci.stage import Context, Result
from ci.turns import turn


async def run(context: Context) -> Result:
    """Bring the stack up, run the pipeline in it and verify the lake that this run made."""
    began = time.monotonic()
    compose = read_compose(context.root / COMPOSE_FILE, variables(context, API), profiles=["test"])
    content = await _content(context)
    for attempt in count():
        key = hashlib.sha256(f"{content} {attempt}".encode()).hexdigest()[:16]
        # Two stacks of one key would empty each other's volumes.
        async with turn(context.settings.cache / "integration.lock", key, context.tell):
            verdict = await drive(context, compose, key=key, token=secrets.token_hex(16))
        # A failure that is only remembered proves nothing: it may have been the machine.
        # The next attempt has another key; if that one passed before, its success is remembered.
        if verdict["passed"] or verdict["fresh"]:
            break
    if not verdict["passed"]:
        raise failure(context, verdict["failure"])
    lake = verdict["lake"]
    reason = (
        f"{lake['bronze_rows']:,} rows in bronze, {lake['silver_rows']:,} in silver, "
        f"{lake['gold_rows']:,} in gold"
        + "".join(f"; warning: {warning}" for warning in lake["warnings"][:1])
        + (f"; {spent(verdict, time.monotonic() - began)}" if verdict["fresh"] else "")
    )
    return Result(reason=reason, cached=not verdict["fresh"])


async def _content(context: Context) -> str:
    """Digest of all that is tested, and of a wish for no cache or for a stack to look at."""
    tested = context.source(*IMAGE_SOURCE, COMPOSE_FILE, "tests/brewery_api/**", DRIVER)
    data = ""
    if context.settings.brewery_csv:
        data = await context.client.host().file(str(context.settings.brewery_csv)).digest()
    # A stack that is to stay up must have been used, not remembered.
    kept = secrets.token_hex(8) if context.keep else ""
    return f"{await tested.digest()} {data} {context.nonce} {kept}"
