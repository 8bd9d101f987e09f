"""Release: only `main`, and only what was committed; acting comes with a registry to publish to."""

from __future__ import annotations

from ci.errors import Refused, UsageError
from ci.stage import Context, Result


async def run(context: Context) -> Result:
    """Publish a release of the version that `pyproject.toml` holds."""
    if context.git.branch != "main":
        branch = context.git.branch or "a tree on no branch"
        raise Refused(f"{branch} is not released: releases are made from main.")
    if context.git.dirty:
        raise Refused("The tree has changes that no commit holds: commit them before releasing.")
    raise UsageError("No image registry is configured to publish to, so there is nothing to do.")
