"""Deploy: which branch goes where is decided here; acting comes with a cluster to act on."""

from __future__ import annotations

from ci.errors import Refused, UsageError
from ci.graph import environment_for
from ci.publishing.trust import trusted
from ci.stage import Context, Result


async def staging(context: Context) -> Result:
    """Deploy `develop` and `develop/*` to staging."""
    return await _deploy(context, "staging")


async def production(context: Context) -> Result:
    """Deploy `main` to production."""
    return await _deploy(context, "production")


async def _deploy(context: Context, environment: str) -> Result:
    if environment_for(context.git.branch) != environment:
        branch = context.git.branch or "a tree on no branch"
        raise Refused(f"{branch} is not deployed to {environment}: switch to the branch that is.")
    context.git.require_clean("deploying")
    if context.settings.destination:
        await trusted(context, context.settings.destination)
    raise UsageError(f"No cluster is configured for {environment}, so there is nothing to do.")
