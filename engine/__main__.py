"""The engine's command line: `session`, as the Dagger CLI has it, and its keeper in namespaces."""

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
    for name in ("session", "serve"):
        command = commands.add_parser(name)
        command.add_argument("--label", action="append")
        command.add_argument("--workdir", type=Path, default=Path.cwd())
        command.add_argument("--project")
        command.add_argument("--load-workspace-modules", action="store_true")
    commands.add_parser("info").add_argument("--json", action="store_true")
    prune = commands.add_parser("prune")
    prune.add_argument("--volumes", action="store_true")
    prune.add_argument("--older-than", type=_seconds, default=0.0, metavar="7d")
    commands.add_parser("tidy")
    args = parser.parse_args()
    match args.command:
        case "session":
            return _keep(args.workdir)
        case "serve":
            from engine.serve import serve

            return serve(args.workdir.absolute())
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


def _keep(workdir: Path) -> int:
    """Become the engine, in namespaces that end with it whatever happens.

    All its processes and mounts are inside a process and a mount namespace of its own: when the
    first of them is gone, by `kill -9` too, the kernel removes the rest.
    """
    from engine.requirements import missing
    from engine.terminal import remember_client

    if os.geteuid() != 0:
        print("the embedded engine needs root: run it with sudo", file=sys.stderr)
        return 3
    if lacking := missing():
        print(
            f"the embedded engine lacks: apt-get install {' '.join(lacking)}",
            file=sys.stderr,
        )
        return 3
    remember_client(os.environ)
    # An init makes its child the foreground of the terminal that controls it: not of the user's.
    with suppress(PermissionError):  # a launcher has done so already
        os.setsid()
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    # An init reaps what containers leave, and hands the engine's exit status on.
    command += ["catatonit", "--", sys.executable, "-m", "engine", "serve"]
    command += ["--workdir", str(workdir)]
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(3)
