"""Release: the version's tag on the image that was promoted; only from `main`, and never moved."""

from __future__ import annotations

from dataclasses import replace

from ci.errors import Refused, UsageError
from ci.publishing import promotion
from ci.publishing.access import ask, require_login
from ci.publishing.trust import trusted
from ci.stage import Context, Result
from ci.tags import moving_tags, release_tag
from ci.versions import read_version
from engine.registry.repository import Repository


async def run(context: Context) -> Result:
    """Put the tag of the version that `pyproject.toml` holds; to do it again changes nothing."""
    if context.git.branch != "main":
        branch = context.git.branch or "a tree on no branch"
        raise Refused(f"{branch} is not released: releases are made from main.")
    if context.git.dirty:
        raise Refused("The tree has changes that no commit holds: commit them before releasing.")
    destination = context.settings.destination
    if destination is None:
        raise UsageError("No image registry is named, so there is nothing to release: --registry.")
    version = read_version(context.root)
    tag = release_tag(version)
    require_login(destination)
    image = await trusted(context, destination)
    digest = image.digest or ""

    def put(repository: Repository) -> promotion.Put:
        for name in moving_tags(context.git, version):
            if promotion.digest_of(repository, name) != digest:
                raise Refused(f"{name} is not on this commit's image: run `all --publish` first.")
        return promotion.release(repository, digest, tag)

    done = await ask(destination, put, push=True)
    return Result(reason=str(done), image=replace(image, tags=(*image.tags, tag)))
