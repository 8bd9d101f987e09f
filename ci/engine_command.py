"""`engine info | prune | run -- COMMAND`: the embedded engine by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ci import embedded, explain, registry
from ci.command_line import Options
from ci.errors import UsageError

# What would lead the SDK away from an engine of its own.
_ELSEWHERE = (
    "DAGGER_SESSION_PORT",
    "DAGGER_SESSION_TOKEN",
    "_EXPERIMENTAL_DAGGER_RUNNER_HOST",
)


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
        embedded.require_packages(_say)
        # The SDK starts an engine for each connection: no two share secrets or services.
        for name in _ELSEWHERE:
            environ.pop(name, None)
        with _registry(options.registry, Path(folder)) as variables:
            code = _command(options.rest, {**environ, **variables})
        if options.explain:
            explain.tell(events, _say)
        return code


@contextlib.contextmanager
def _registry(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """A registry's address in the variable `name`, if one is asked for."""
    if not name:
        yield {}
        return
    with registry.running(registry.program(os.environ, _say), folder) as address:
        yield {name: address}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _command(command: tuple[str, ...], environ: dict[str, str]) -> int:
    """Run COMMAND where `python` is the one that has the SDK; returns its exit code.

    Signals are the command's affair: it has an engine to end, and perhaps more to say.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def hear(number: int, _: object) -> None:
        if process is None:
            early.append(number)
        elif number == signal.SIGTERM:
            # A terminal sends INT to both of us; TERM comes to us alone.
            process.terminate()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(command, env={**environ, "PATH": path})
        for number in early:
            process.send_signal(number)
        code = process.wait()
    except OSError as error:
        raise UsageError(f"Cannot run {command[0]}: {error.strerror}.") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
