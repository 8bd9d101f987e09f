"""Tags that move to a tested image, and the one of a release, which never does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ci.errors import InfrastructureError, Refused
from ci.publishing.images import (
    CREATED,
    REVISION,
    Foreign,
    Published,
    read,
    require_no_stand_in,
)
from engine.registry.errors import NotFound, Untrue
from engine.registry.repository import Repository

Descends = Callable[[str, str], bool | None]
"""Whether the first commit came after the second; None where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What came of a tag; `moved` is False where it was on the image already."""

    tag: str
    moved: bool

    def __str__(self) -> str:
        return f"{self.tag} put" if self.moved else f"{self.tag} was there already"


def promote(
    repository: Repository, digest: str, tags: Iterable[str], descends: Descends
) -> tuple[Put, ...]:
    """Put moving tags on an image that is there, and read each back.

    Raises Refused for an image on a stand-in, and for one that a tag has gone past already.
    """
    image = required(repository, digest)
    require_no_stand_in(image.stand_in, "promoted")
    tags = tuple(tags)
    for tag in tags:
        _require_ahead(repository, image, tag, descends)
    return tuple(_put(repository, image, tag) for tag in tags)


def release(repository: Repository, digest: str, tag: str) -> Put:
    """Put a tag that never moves on an image; raises Refused if it is on another one."""
    image = required(repository, digest)
    require_no_stand_in(image.stand_in, "released")
    there = digest_of(repository, tag)
    if there not in ("", digest):
        raise Refused(
            f"{tag} was released as {there} and never moves: raise the version in pyproject.toml."
        )
    return _put(repository, image, tag)


def required(repository: Repository, digest: str) -> Published:
    """The image of a digest; raises InfrastructureError if it is not there any more."""
    image = read(repository, digest)
    if image is None:
        raise InfrastructureError(
            f"{repository.host}/{repository.name} has no image {digest}: publish it again."
        )
    return image


def digest_of(repository: Repository, tag: str) -> str:
    """The digest of what a tag is on, or ""; it is fetched, since a digest is easily said."""
    try:
        return repository.manifest(tag).digest
    except NotFound:
        return ""


def _require_ahead(repository: Repository, image: Published, tag: str, descends: Descends) -> None:
    """Raise Refused where a tag is on the image of a later commit: an old run was run again."""
    try:
        there = read(repository, tag)
    except Foreign:
        return  # nothing that a run of ours put there
    if there is None or there.digest == image.digest:
        return
    ours, theirs = image.labels.get(REVISION, ""), there.labels.get(REVISION, "")
    if not theirs or ours == theirs:
        return
    later = descends(theirs, ours)
    if _created(there) > _created(image) if later is None else later:
        raise Refused(
            f"{tag} is on the image of {theirs[:7]}, a later commit than {ours[:7]}, and does not "
            "move back: run the branch's newest commit, or revert by a new one."
        )


def _created(image: Published) -> dt.datetime:
    """The time of an image's commit; before all others where it is not told."""
    try:
        moment = dt.datetime.fromisoformat(image.labels.get(CREATED, ""))
    except ValueError:
        moment = dt.datetime.min
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC)


def _put(repository: Repository, image: Published, tag: str) -> Put:
    if digest_of(repository, tag) == image.digest:
        return Put(tag=tag, moved=False)
    repository.put_manifest(tag, image.manifest.media_type, image.manifest.data)
    found = repository.manifest(tag).digest
    if found != image.digest:
        raise Untrue(f"{tag} was put on {image.digest}, and is read back on {found}")
    return Put(tag=tag, moved=True)
