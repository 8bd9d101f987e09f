"""Documents attached to an image: found by its digest, wherever the image is copied to.

They are manifests with a `subject`, as the OCI specifications 1.1 have them. A registry without the
referrers API keeps their list under the fallback tag, `sha256-<hex>`, which its clients maintain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ci.publishing.statement import encoded
from engine.oci.image import ImageError
from engine.oci.manifest import INDEX_TYPE, MANIFEST_TYPE, checked_digest
from engine.registry.errors import (
    Denied,
    Interrupted,
    NotFound,
    RegistryError,
    Unreachable,
    Untrue,
)
from engine.registry.repository import Manifest, Repository

_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"

REGISTRY_FAULTS = (Denied, Interrupted, Unreachable, Untrue)
"""What tells of the registry, whatever it was asked for."""
ODDITIES = (
    *(RegistryError, ImageError),
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError),
)
"""What else comes of a document that somebody attached: it keeps nobody from reading the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A document for an image; `media_type` is the type of `content`."""

    media_type: str
    content: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


def attach(repository: Repository, image: Manifest, attachment: Attachment) -> str:
    """Attach a document to an image; the digest of its manifest. Twice is as once."""
    for blob in (_EMPTY, attachment.content):
        if not repository.has_blob(_digest(blob)):
            repository.upload(_digest(blob), blob)
    data = encoded(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": attachment.media_type,
            "config": _descriptor(_EMPTY_TYPE, _EMPTY),
            "layers": [_descriptor(attachment.media_type, attachment.content)],
            "subject": _descriptor(image.media_type, image.data),
            "annotations": dict(attachment.annotations),
        }
    )
    repository.put_manifest(_digest(data), MANIFEST_TYPE, data)
    if repository.referrers(image.digest) is None:
        entry = {
            **_descriptor(MANIFEST_TYPE, data),
            "artifactType": attachment.media_type,
            "annotations": dict(attachment.annotations),
        }
        _list_by_tag(repository, image.digest, entry)
    return _digest(data)


def attachments(
    repository: Repository, digest: str, types: tuple[str, ...]
) -> Iterator[Attachment]:
    """What of these types is attached to an image; what cannot be understood is left out."""
    for entry in _listed(repository, digest):
        try:
            if entry.get("artifactType") not in types:
                continue
            manifest = json.loads(repository.manifest(checked_digest(entry["digest"])).data)
            if manifest["subject"]["digest"] != digest:
                continue  # the list is wrong, not the image
            annotations = manifest.get("annotations") or {}
            for layer in manifest["layers"]:
                yield Attachment(
                    media_type=str(layer["mediaType"]),
                    content=repository.small_blob(checked_digest(layer["digest"])),
                    annotations={str(name): str(value) for name, value in annotations.items()},
                )
        except REGISTRY_FAULTS:
            raise
        except ODDITIES:
            continue


def fallback_tag(digest: str) -> str:
    """The tag under which a registry without the API keeps the list."""
    return digest.replace(":", "-")


def _listed(repository: Repository, digest: str) -> list[dict[str, Any]]:
    pages = repository.referrers(digest)
    return _entries([_tagged_list(repository, digest)] if pages is None else pages)


def _list_by_tag(repository: Repository, digest: str, entry: Mapping[str, Any]) -> None:
    listed = _entries([_tagged_list(repository, digest)])
    if all(known.get("digest") != entry["digest"] for known in listed):
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*listed, entry]}
        repository.put_manifest(fallback_tag(digest), INDEX_TYPE, encoded(index))


def _entries(pages: Iterable[bytes]) -> list[dict[str, Any]]:
    """What the pages of an index list; one that is no index, as somebody's own tag, has nothing."""
    found: list[Any] = []
    for page in pages:
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            found += json.loads(page)["manifests"]
    return [entry for entry in found if isinstance(entry, dict)]


def _tagged_list(repository: Repository, digest: str) -> bytes:
    try:
        return repository.manifest(fallback_tag(digest)).data
    except NotFound:
        return b'{"manifests":[]}'


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
