"""The image of this commit, verified and promoted, and by its digest from then on."""

from __future__ import annotations

from ci.errors import Refused
from ci.publishing.access import ask
from ci.publishing.destination import Destination
from ci.publishing.promotion import digest_of
from ci.publishing.signature import read_public
from ci.publishing.verification import Expected, verify
from ci.stage import Context, Image
from ci.tags import commit_tag, moving_tags
from ci.versions import read_version
from engine.oci.reference import parse_reference
from engine.registry.repository import Repository


def expected(context: Context, destination: Destination, *, loopback: bool = False) -> Expected:
    """What the image of this commit must be; `loopback` lets stand-ins pass."""
    return Expected(
        commit=context.git.commit,
        source=context.settings.source or None,
        key=read_public(destination.trusted_key) if destination.trusted_key else None,
        loopback=loopback,
    )


async def trusted(context: Context, destination: Destination) -> Image:
    """The published image of this commit.

    Raises Refused unless all that is said of it holds and its branch's tag was moved to it, which
    is done once it is tested. A stand-in is refused here wherever it lies.
    """
    tag = commit_tag(context.git)
    reference = parse_reference(destination.tagged(tag))
    promoted = moving_tags(context.git, read_version(context.root))
    wanted = expected(context, destination)

    def look(repository: Repository) -> str:
        verdict = verify(repository, reference, wanted)
        if verdict.failures:
            detail = "\n".join(verdict.failures)
            raise Refused(f"{reference.familiar} is not to be trusted.", detail=detail)
        for name in promoted:
            if digest_of(repository, name) != verdict.digest:
                raise Refused(
                    f"{name} is not on this commit's image: promote it by `all --publish`, or take "
                    "the commit that is promoted."
                )
        return verdict.digest

    digest = await ask(destination, look)
    return Image(reference=f"{destination.repository}@{digest}", digest=digest, tags=(tag,))
