"""Brewline's entry: needs nothing but Python 3.11, and makes its own environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.version_info < (3, 11):
    sys.stderr.write("Brewline needs Python 3.11 or newer: run it with `python3.11 ci/main.py`.\n")
    sys.exit(3)

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # it was ci/, whose modules are not to be found by their bare names

from ci.command_line import Options, parse  # noqa: E402 - only after the path is set
from ci.errors import INTERRUPTED, BrewlineError  # noqa: E402


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    try:
        return dispatch(parse(arguments, ROOT), arguments)
    except BrewlineError as error:
        print(f"brewline: {error.message}", file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)
        return error.failure.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def dispatch(options: Options, arguments: list[str]) -> int:
    """The commands: first those that need nothing but Python, then those that run stages.

    Each imports what it needs and no more: `--help` and `plan` answer at once.
    """
    match options.command:
        case "plan":
            from ci import planning

            return planning.show(options, ROOT)
        case "doctor":
            from ci import doctor

            return doctor.examine(ROOT)
        case "nightly" | "shell":
            from ci import later

            later.refuse(options)
        case "selftest":
            from ci import selftest

            return selftest.run(options, ROOT)
    return in_environment(options, arguments)


def in_environment(options: Options, arguments: list[str]) -> int:
    """Go on in the program's own environment, which is made or repaired when needed."""
    from ci import environment

    environment.enter("ci", ROOT, say, os.environ, arguments)
    try:
        from ci import engine_command, workflow
    except ImportError as error:
        environment.repair("ci", ROOT, error, os.environ, arguments)
    command = engine_command.run if options.command == "engine" else workflow.main
    return command(options, ROOT)


def say(line: str) -> None:
    """A progress line of what happens before the run has a console."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
