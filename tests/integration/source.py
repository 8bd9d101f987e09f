"""`python -m tests.integration.source URL`: ask the source for its total; 5 where it has none."""

from __future__ import annotations

import sys

import anyio

from pipeline.errors import UpstreamError
from pipeline.source import Source
from tests.integration.verdict import Cause, Failed


def source_total(api: str) -> int:
    """How many breweries the source says it has, asked as the data product asks.

    Raises Failed for one that does not say: it is the one to blame.
    """
    try:
        return anyio.run(_total, api)
    except UpstreamError as error:
        raise Failed(Cause.UPSTREAM, str(error)) from error


async def _total(api: str) -> int:
    async with Source(api) as source:
        return (await source.meta()).total


def require_rows(fetched: int, expected: int, api: str) -> None:
    """Raise Failed unless all rows were fetched that the source has, or had before the run."""
    if fetched == expected or fetched == (now := source_total(api)):
        return
    if now != expected:
        raise Failed(
            Cause.UPSTREAM,
            f"The source changed while it was read: {expected} rows before, {now} after,"
            f" {fetched} fetched.",
        )
    raise Failed(Cause.CODE, f"The lake is wrong: the source has {now} rows, bronze {fetched}.")


def main(api: str) -> int:
    """Print the total, or one sentence on standard error."""
    try:
        print(source_total(api))
    except Failed as failed:
        print(failed.message, file=sys.stderr)
        return int(failed.cause)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
