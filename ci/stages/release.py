"""Release: the version's tag on the image that was promoted; only from `main`, and never moved."""

from __future__ import annotations

from dataclasses import replace

from ci.errors import Refused, UsageError
from ci.publishing import promotion
from ci.publishing.access import ask, require_login
from ci.publishing.trust import trusted
from ci.stage import Context, Result
from ci.tags import release_tag
from ci.versions import read_version


async def run(context: Context) -> Result:
    """Put the tag of the version that `pyproject.toml` holds; to do it again changes nothing."""
    if context.git.branch != "main":
        branch = context.git.branch or "a tree on no branch"
        raise Refused(f"{branch} is not released: releases are made from main.")
    context.git.require_clean("releasing")
    destination = context.settings.destination
    if destination is None:
        raise UsageError("No image registry is named, so there is nothing to release: --registry.")
    tag = release_tag(read_version(context.root))
    require_login(destination)
    image = await trusted(context, destination)
    digest = image.digest or ""
    done = await ask(
        destination, lambda repository: promotion.release(repository, digest, tag), push=True
    )
    return Result(reason=str(done), image=replace(image, tags=(*image.tags, tag)))
