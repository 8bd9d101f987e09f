"""`engine info | prune | run -- COMMAND`: the embedded engine by itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ci import embedded
from ci.command_line import Options
from ci.errors import InfrastructureError, UsageError


def main(options: Options, root: Path) -> int:
    """Do one of the three; returns the exit code of the engine or of COMMAND."""
    if options.action == "run" and not options.rest:
        raise UsageError("`engine run` needs a command: engine run -- COMMAND.")
    with tempfile.TemporaryDirectory(prefix="brewline-") as folder:
        events = Path(folder) / "events.jsonl"
        environ = {**os.environ, **embedded.variables(embedded.PROGRAM, os.environ, events)}
        launcher = environ["_EXPERIMENTAL_DAGGER_CLI_BIN"]
        if options.action != "run":
            done = subprocess.run([launcher, options.action, *options.rest], env=environ)
            return done.returncode
        embedded.require_packages(lambda line: print(line, file=sys.stderr, flush=True))
        with _session(launcher, environ) as variables:
            return _command(options.rest, {**environ, **variables})


def _command(command: tuple[str, ...], environ: dict[str, str]) -> int:
    """Run COMMAND where `python` is the one that has the SDK; returns its exit code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    try:
        return subprocess.run(command, env={**environ, "PATH": path}, check=False).returncode
    except OSError as error:
        raise UsageError(f"Cannot run {command[0]}: {error.strerror}.") from error


@contextlib.contextmanager
def _session(launcher: str, environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """A session of the engine, as the variables by which the SDK finds it."""
    with subprocess.Popen(
        [launcher, "session"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as engine:
        assert engine.stdin and engine.stdout
        try:
            params = json.loads(engine.stdout.readline())
        except ValueError as error:
            raise InfrastructureError("The embedded engine did not start.") from error
        try:
            yield {
                "DAGGER_SESSION_PORT": str(params["port"]),
                "DAGGER_SESSION_TOKEN": str(params["session_token"]),
            }
        finally:
            engine.stdin.close()
            engine.wait()
