"""`python -m tests.brewery_api`: serve breweries until a signal ends it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.brewery_api.breweries import Brewery, generate, read_csv
from tests.brewery_api.faults import FAULTS, parse
from tests.brewery_api.server import BreweryServer


def main() -> int:
    """Serve on the address given; exit 2 when the CSV or the port cannot be had."""
    arguments = _parser().parse_args()
    try:
        breweries = _breweries(arguments)
        server = BreweryServer(
            (arguments.host, arguments.port), breweries, too_many_every=arguments.too_many_every
        )
        server.spoilt = [parse(fault) for fault in arguments.fault]
        server.total = arguments.total
    except (OSError, ValueError, KeyError) as error:
        print(f"brewery_api: cannot serve: {error!r}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"brewery_api: {len(breweries)} breweries at {server.url}", flush=True)
    try:
        with server:
            server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


def _breweries(arguments: argparse.Namespace) -> list[Brewery]:
    if arguments.csv:
        return read_csv(Path(arguments.csv))
    return generate(arguments.rows, arguments.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.brewery_api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--csv", default=os.environ.get("BREWERY_CSV"), help="serve this file")
    parser.add_argument("--rows", type=int, default=12_000, help="generate this many otherwise")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--too-many-every", type=int, default=25, metavar="N", help="429 on every Nth; 0: never"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME@N",
        help=f"spoil every Nth answer, again and again if given so: {', '.join(FAULTS)}",
    )
    parser.add_argument("--total", type=int, help="what the meta data says, be it true or not")
    return parser


if __name__ == "__main__":
    sys.exit(main())
