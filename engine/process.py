"""The one place where the engine starts a program."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from engine.errors import ProcessError


async def spawn(
    *command: str,
    stdin: int = subprocess.DEVNULL,
    output: int = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    executable: str | None = None,
) -> asyncio.subprocess.Process:
    """Start a program in a process group of its own. Raises ProcessError if it is not there.

    Its file is `executable`, if that is not found by the command's first word.

    Starting is not interrupted: asyncio waits for ever for a process whose start was cancelled
    before its pipes were connected. It is killed instead, as soon as it is there.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=stdin,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
            executable=executable,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await end(await starting)
        raise
    except FileNotFoundError:
        raise ProcessError(list(command), 127, "not installed") from None


async def run(
    *command: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Raises ProcessError if it fails, with what it wrote. A cancelled wait kills it.
    """
    process = await spawn(*command, stdin=subprocess.PIPE, env=env)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        raise ProcessError(list(command), -1, f"no end after {timeout:.0f} s") from None
    finally:
        await end(process)
    if process.returncode:
        text = (err or out).decode(errors="replace")
        raise ProcessError(list(command), process.returncode or -1, text)
    return out.decode(errors="replace")


def ask(*command: str, stdin: bytes, timeout: float) -> str:
    """What a program answers to `stdin`, for work in threads. Raises ProcessError."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout)
    except FileNotFoundError:
        raise ProcessError(list(command), 127, "not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessError(list(command), -1, str(error)) from None
    if done.returncode:
        text = (done.stderr or done.stdout).decode(errors="replace")
        raise ProcessError(list(command), done.returncode, text)
    return done.stdout.decode(errors="replace")


def piped(*command: str) -> subprocess.Popen[bytes]:
    """A program through which bytes are sent, for work in threads. Raises ProcessError."""
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise ProcessError(list(command), 127, "not installed") from None


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a program's process group, if it has not ended, and wait for it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
