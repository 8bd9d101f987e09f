"""What a registry holds of an image: its manifest, and what its configuration says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ci.errors import Refused
from engine.oci.image import ImageError
from engine.oci.manifest import INDEX_TYPES, config_descriptor, descriptor, entries
from engine.registry.errors import NotFound, RegistryError
from engine.registry.repository import Manifest, Repository
from engine.standins import STAND_IN_LABEL

CREATED = "org.opencontainers.image.created"
REVISION = "org.opencontainers.image.revision"
SOURCE = "org.opencontainers.image.source"
VERSION = "org.opencontainers.image.version"


class Foreign(RegistryError):
    """What a tag is on is no image that a run of ours pushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An image in a registry."""

    manifest: Manifest
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest that names it."""
        return self.manifest.digest

    @property
    def stand_in(self) -> str:
        """What under the image is a stand-in, or ""."""
        return self.labels.get(STAND_IN_LABEL, "")


def read(repository: Repository, wanted: str) -> Published | None:
    """The image of a tag or digest, or None where there is none.

    Raises Foreign for what cannot be read as one, RegistryError for what the registry does not do.
    """
    try:
        manifest = repository.manifest(wanted)
    except NotFound:
        return None
    name = f"{repository.host}/{repository.name}{'@' if ':' in wanted else ':'}{wanted}"
    try:
        table = json.loads(manifest.data)
        if manifest.media_type in INDEX_TYPES:  # of one platform, as some engines push it
            listed = entries(table)
            if len(listed) != 1:
                raise Foreign(f"{name} is an index of {len(listed)} images: we push one alone")
            (entry,) = listed
            table = json.loads(repository.manifest(descriptor(entry).digest).data)
        blob = repository.small_blob(config_descriptor(table).digest)
        labels = (json.loads(blob).get("config") or {}).get("Labels") or {}
        return Published(manifest=manifest, labels=dict(labels))
    except (ImageError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Foreign(f"{name} cannot be read as an image: {error}") from None


def require_no_stand_in(names: str, doing: str) -> None:
    """Raise Refused for an image on a stand-in; `names` is what its label says."""
    if names:
        raise Refused(
            f"The image stands on a stand-in for {names}, so that it is not {doing}: "
            "build it where the registry of that image is reached."
        )
