"""Promote: the branch's tag moves to the very image that was built, tested and scanned."""

from __future__ import annotations

import functools

from ci.errors import Refused, UsageError
from ci.publishing import promotion
from ci.publishing.access import ask
from ci.source import descends
from ci.stage import Context, Image, Result, Status
from ci.tags import moving_tags
from ci.versions import read_version

# What must have passed in this same run; a stage that was left out is no proof.
GATES = ("build", "integration", "security")


async def run(context: Context) -> Result:
    """Move the tags and read them back; raises Refused for an image that no test has seen."""
    destination = context.settings.destination
    if destination is None:
        raise UsageError("There is no image to promote: run `all --publish`.")
    image = tested(context)
    tags = moving_tags(context.git, read_version(context.root))
    if not tags:
        branch = context.git.branch or "a tree on no branch"
        raise Refused(f"{branch} moves no tag: main and develop do.")
    digest = image.digest or ""
    put = await ask(
        destination,
        lambda repository: promotion.promote(
            repository, digest, tags, functools.partial(descends, context.root)
        ),
        push=True,
    )
    return Result(
        reason=", ".join(map(str, put)),
        image=Image(reference=image.reference, digest=digest, tags=(*image.tags, *tags)),
        cached=not any(each.moved for each in put),
    )


def tested(context: Context) -> Image:
    """The image that this run pushed and every gate passed; raises Refused where there is none."""
    for name in GATES:
        result = context.results.get(name)
        if result is None or result.status is not Status.PASSED:
            raise Refused(f"{name} did not pass in this run: an untested image is not promoted.")
    image = context.results["build"].image
    if image is None or not image.published:
        raise Refused("This run pushed no image: run `all --publish`.")
    return image
