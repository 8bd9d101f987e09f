"""Programs that use the engine, run as processes of their own so that they can be killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PROGRESS = re.compile(r"^(\d+ *: .*|\(\d+ lines are not shown\))\n", re.MULTILINE)
_FRAME = """
import os, sys, time
import anyio, dagger
from dagger import dag

def tiny():
    return dag.container().with_rootfs(dag.host().directory(os.environ["TINY_ROOT"]))

def debian():
    return dag.container().from_("debian:bookworm-slim")

def fresh(container):
    return container.with_env_variable("NONCE", str(time.time_ns()))

def sh(container, script, **options):
    return container.with_exec(["sh", "-c", script], **options)

async def main():
    async with dagger.connection(dagger.Config(retry=None, log_output=sys.stderr)):
{body}

anyio.run(main)
"""


def source(body: str) -> str:
    """A whole program whose connection runs `body`."""
    return _FRAME.format(body=textwrap.indent(textwrap.dedent(body), " " * 8))


@contextmanager
def started(
    body: str, engine: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A running program, in a process group of its own; killed at the end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DAGGER_")}
    process = subprocess.Popen(
        [sys.executable, "-c", source(body)],
        env={**own, "_EXPERIMENTAL_DAGGER_CLI_BIN": str(engine), **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(
    body: str, engine: Path, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; of what the engine shows, its progress is left out."""
    with started(body, engine, env) as process:
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, complaints(err))


def complaints(stderr: str) -> str:
    """What an engine shows besides its progress."""
    return _PROGRESS.sub("", stderr)
