"""The engine's command line: `session`, as the Dagger CLI has it, and the store's upkeep."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path


def main() -> int:
    """Run a command of the engine; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    session = commands.add_parser("session")
    session.add_argument("--label", action="append")
    session.add_argument("--workdir", type=Path, default=Path.cwd())
    session.add_argument("--project")
    session.add_argument("--load-workspace-modules", action="store_true")
    commands.add_parser("info").add_argument("--json", action="store_true")
    prune = commands.add_parser("prune")
    prune.add_argument("--volumes", action="store_true")
    prune.add_argument("--older-than", type=_seconds, default=0.0, metavar="7d")
    commands.add_parser("tidy")
    args = parser.parse_args()
    if args.command == "session":
        return _become_engine(args.workdir)
    from engine import upkeep
    from engine.errors import EngineError

    try:
        match args.command:
            case "info":
                return upkeep.info(as_json=args.json)
            case "prune":
                return upkeep.prune_by_hand(volumes=args.volumes, older_than=args.older_than)
        return upkeep.tidy()
    except EngineError as error:
        print(error, file=sys.stderr)
        return 3


def _seconds(text: str) -> float:
    units = {"m": 60, "h": 3600, "d": 86400}
    if not text[:-1].isdecimal() or text[-1] not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90m, 12h or 7d")
    return float(text[:-1]) * units[text[-1]]


def _become_engine(workdir: Path) -> int:
    from engine.client import remember_client
    from engine.launcher import NAMESPACES
    from engine.requirements import complaint

    if lacking := complaint():
        print(lacking, file=sys.stderr)
        return 3
    remember_client(os.environ)
    # An init makes its child the foreground of the terminal that controls it: not of the user's.
    with suppress(PermissionError):  # a launcher has done so already
        os.setsid()
    command = [*NAMESPACES, sys.executable, "-P", "-m", "engine.start", "--workdir", str(workdir)]
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(3)
