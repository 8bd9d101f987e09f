"""`python -m tests.integration.source URL`: ask the source for its total; 5 where it has none."""

from __future__ import annotations

import sys

import httpx

from tests.integration.verdict import Cause, Failed


def source_total(api: str) -> int:
    """How many breweries the source says it has; a source that does not say is the one to blame."""
    try:
        return int(httpx.get(f"{api}/v1/breweries/meta", timeout=10).json()["total"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise Failed(
            Cause.UPSTREAM,
            f"The brewery API at {api} does not tell its total: {type(error).__name__}: {error}",
            log="logs/components/brewery-api.log",
        ) from error


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
