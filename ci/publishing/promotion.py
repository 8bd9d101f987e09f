"""Tags that move to a tested image, and the one of a release, which never does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ci.errors import InfrastructureError, Refused
from ci.publishing.images import Published, read, require_no_stand_in
from engine.registry.errors import NotFound, RegistryError
from engine.registry.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What came of a tag; `moved` is False where it was on the image already."""

    tag: str
    moved: bool

    def __str__(self) -> str:
        return f"{self.tag} put" if self.moved else f"{self.tag} was there already"


def promote(repository: Repository, digest: str, tags: Iterable[str]) -> tuple[Put, ...]:
    """Put moving tags on an image that is there, and read each back.

    Raises Refused for an image on a stand-in.
    """
    image = required(repository, digest)
    require_no_stand_in(image.stand_in, "promoted")
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


def _put(repository: Repository, image: Published, tag: str) -> Put:
    if digest_of(repository, tag) == image.digest:
        return Put(tag=tag, moved=False)
    repository.put_manifest(tag, image.manifest.media_type, image.manifest.data)
    found = repository.manifest(tag).digest
    if found != image.digest:
        raise RegistryError(f"{tag} was put on {image.digest}, and is read back on {found}")
    return Put(tag=tag, moved=True)
