"""Brewline's entry: needs nothing but Python 3.11, and makes its own environment."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

if sys.version_info < (3, 11):
    sys.stderr.write("Brewline needs Python 3.11 or newer: run it with `python3.11 ci/main.py`.\n")
    sys.exit(3)

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # it was ci/, whose modules are not to be found by their bare names

from ci.command_line import Options, parse  # noqa: E402 - only after the path is set
from ci.errors import INTERRUPTED, UNREAD, BrewlineError, UsageError  # noqa: E402 - as above

# Commands that need nothing but Python, and their modules. All others run in the environment.
BARE = {
    "plan": "planning",
    "doctor": "doctor",
    "selftest": "selftest",
}

# Those that are no run of stages.
APART = {"engine": "engine_command", "images": "images_command", "verify": "verify_command"}


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    try:
        code = dispatch(parse(arguments, ROOT), arguments)
        sys.stdout.flush()
        return code
    except BrewlineError as error:
        print(f"brewline: {error.message}", file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)
        return error.failure.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # nobody reads on; nor must Python, which writes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def dispatch(options: Options, arguments: list[str]) -> int:
    """Import what the command needs and no more: `--help` and `plan` answer at once."""
    if options.command in BARE:
        return command(BARE[options.command])(options, ROOT)
    if options.command == "shell" and not sys.stdin.isatty():
        raise UsageError("`shell` needs a terminal: run it with one as its standard input.")
    environment = importlib.import_module("ci.environment")
    environment.enter("ci", ROOT, say, os.environ, arguments)
    try:
        act = command(APART.get(options.command, "workflow"))
    except ImportError as error:
        environment.repair("ci", ROOT, error, os.environ, arguments)  # does not return
        raise
    return act(options, ROOT)


def command(module: str) -> Callable[[Options, Path], int]:
    """The `main` of a module of this package."""
    return cast("Callable[[Options, Path], int]", importlib.import_module(f"ci.{module}").main)


def say(line: str) -> None:
    """A progress line of what happens before the run has a console."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
