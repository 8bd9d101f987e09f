"""The one place where the engine runs a program of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping

from engine.errors import ProcessError


async def run(
    *command: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Raises ProcessError if it fails, with what it wrote. A cancelled wait kills it.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ProcessError(list(command), 127, "not installed") from None
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin)
    except BaseException as error:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
        if isinstance(error, TimeoutError):
            raise ProcessError(list(command), -1, f"no end after {timeout:.0f} s") from None
        raise
    if process.returncode:
        text = (err or out).decode(errors="replace")
        raise ProcessError(list(command), process.returncode, text)
    return out.decode(errors="replace")
