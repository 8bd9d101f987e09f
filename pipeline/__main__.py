"""`python -m pipeline run`, `verify`, `prune`: the data product without an orchestrator."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pipeline.errors import (
    ConflictError,
    DataError,
    LakeError,
    PipelineError,
    StorageError,
    UpstreamError,
    UsageError,
)
from pipeline.lake import Lake
from pipeline.rate import DEFAULT_JOBS, DEFAULT_RATE
from pipeline.retention import ABANDONED_AFTER, prune

__all__ = ["main"]

PUBLIC_API = "https://api.openbrewerydb.org"
OK, BAD_DATA, USAGE, INFRASTRUCTURE, REFUSED, UPSTREAM, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_EXIT_CODES: dict[type[Exception], int] = {
    UsageError: USAGE,
    UpstreamError: UPSTREAM,
    LakeError: BAD_DATA,
    StorageError: INFRASTRUCTURE,
    # Neither the code nor the machine is at fault, and at once again would end the same.
    ConflictError: REFUSED,
    OSError: INFRASTRUCTURE,
}
_EPILOG = """\
examples:
  python -m pipeline run --lake ./lake
  python -m pipeline run --lake s3://bucket/lake --api http://host:8000 --rate 0
  python -m pipeline verify --lake ./lake --page verdict.html

exit codes:
  0  good
  1  the data is wrong: nothing was committed
  2  usage
  3  the lake cannot be read or written
  4  another run is writing the lake, or came first
  5  the source is down or sends what is not the API's: run again later
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; prints one JSON object, or one sentence on standard error."""
    arguments = _parser().parse_args(argv)
    _log_to_stderr()
    try:
        result = _COMMANDS[arguments.command](arguments)
    except (PipelineError, OSError) as error:
        print(f"pipeline: {_sentence(error, arguments)}", file=sys.stderr)
        return next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
    except KeyboardInterrupt:
        print(
            f"pipeline: interrupted; the last committed run is as it was.{_go_on(arguments)}",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(json.dumps(result, ensure_ascii=False))
    return BAD_DATA if result.get("problems") else OK


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    # Here and below: pyarrow and DuckDB take half a second to import, and help needs none.
    from pipeline import quality, steps

    run_id = arguments.run_id = arguments.run_id or f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S%fZ}"
    try:
        return steps.run(
            api=arguments.api,
            lake=arguments.lake,
            run_id=run_id,
            rate=arguments.rate,
            jobs=arguments.jobs,
        )
    except DataError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return quality.verify(Lake.at(arguments.lake), run_id).summary()


def _verify(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline import quality

    lake = Lake.at(arguments.lake)
    verdict = quality.verify(lake, arguments.run_id)
    if arguments.page:
        quality.export(lake, verdict, arguments.page)
    for sentence in verdict.told:
        print(f"pipeline: {sentence}", file=sys.stderr)
    return verdict.summary()


def _prune(arguments: argparse.Namespace) -> dict[str, Any]:
    pruned = prune(
        Lake.at(arguments.lake),
        keep=arguments.keep,
        abandoned_after=timedelta(hours=arguments.abandoned_after),
        dry_run=arguments.dry_run,
    )
    return dataclasses.asdict(pruned)


_COMMANDS = {"run": _run, "verify": _verify, "prune": _prune}


def _sentence(error: Exception, arguments: argparse.Namespace) -> str:
    if isinstance(error, OSError):
        return f"The lake at {arguments.lake} cannot be read or written: {error}."
    return f"{error}{_go_on(arguments)}" if isinstance(error, UpstreamError) else str(error)


def _go_on(arguments: argparse.Namespace) -> str:
    if arguments.command != "run" or not arguments.run_id:
        return ""
    return f" `--run-id {arguments.run_id}` goes on where it stopped."


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("pipeline").setLevel(logging.INFO)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="Open Brewery DB to a bronze, silver and gold lake.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="fetch, clean, count, verify and commit one run")
    run.add_argument(
        "--api",
        default=os.environ.get("BREWERY_API") or PUBLIC_API,
        metavar="URL",
        help="the API's root; default: BREWERY_API, now %(default)s",
    )
    run.add_argument(
        "--rate",
        type=_at_least(0),
        default=DEFAULT_RATE,
        metavar="N",
        help="requests a minute at most, 0: no limit; default: %(default)s",
    )
    run.add_argument(
        "--jobs",
        type=_at_least(1),
        default=DEFAULT_JOBS,
        metavar="N",
        help="pages to fetch at once; default: %(default)s",
    )
    verify = commands.add_parser("verify", help="judge a run that is in the lake")
    verify.add_argument("--page", type=Path, metavar="FILE", help="write the verdict as HTML too")
    pruning = commands.add_parser("prune", help="remove old runs and what dead runs left")
    pruning.add_argument(
        "--keep", type=int, metavar="N", help="committed runs to keep; default: all"
    )
    pruning.add_argument(
        "--abandoned-after",
        type=int,
        metavar="HOURS",
        default=ABANDONED_AFTER // timedelta(hours=1),
        help="take uncommitted runs that began longer ago for dead; default: %(default)s",
    )
    pruning.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    for command, what in (
        (run, "a name for the run; one that stopped goes on by its name"),
        (verify, "default: the committed run"),
    ):
        command.add_argument("--run-id", metavar="NAME", help=what)
    for command in (run, verify, pruning):
        command.add_argument(
            "--lake",
            default=os.environ.get("BREWERY_LAKE"),
            required=not os.environ.get("BREWERY_LAKE"),
            metavar="URL",
            help="path or fsspec URL of the lake; default: BREWERY_LAKE",
        )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {least} or more")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
