"""The image of this commit, verified first, and by its digest from then on."""

from __future__ import annotations

from ci.errors import Refused
from ci.publishing.access import ask
from ci.publishing.destination import Destination
from ci.publishing.signature import read_public
from ci.publishing.verification import Expected, verify
from ci.stage import Context, Image
from ci.tags import commit_tag
from engine.oci.reference import parse_reference


async def trusted(context: Context, destination: Destination) -> Image:
    """The published image of this commit; raises Refused unless all that is said of it holds.

    A stand-in is refused here wherever it lies.
    """
    tag = commit_tag(context.git)
    reference = parse_reference(destination.tagged(tag))
    expected = Expected(
        commit=context.git.commit,
        source=context.settings.source or None,
        key=read_public(destination.trusted_key) if destination.trusted_key else None,
    )
    verdict = await ask(destination, lambda repository: verify(repository, reference, expected))
    if verdict.failures:
        detail = "\n".join(verdict.failures)
        raise Refused(f"{reference.familiar} is not to be trusted.", detail=detail)
    return Image(
        reference=f"{destination.repository}@{verdict.digest}", digest=verdict.digest, tags=(tag,)
    )
