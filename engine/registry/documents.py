"""Manifests and configurations: small, named by their digests, and kept in the store."""

from __future__ import annotations

import secrets
from pathlib import Path

from engine.jsontext import parse
from engine.registry.repository import Manifest, Repository, digest_of
from engine.store import Store, digest


class Documents:
    """What is known of images already, so that a registry is asked for what is new."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def manifest(self, repository: Repository, wanted: str, tag: str = "") -> Manifest:
        """The manifest of the digest `wanted` or, where there is none, of a tag.

        To ask for a tag's digest does not count where pulls are limited. Raises RegistryError.
        """
        known = self._recalled(wanted or repository.digest(tag))
        if known is not None:
            return known
        found = repository.manifest(wanted or tag)
        kind = _named_type(found.data) or found.media_type
        self._keep(found.digest, found.data, kind)
        return Manifest(data=found.data, media_type=kind, digest=found.digest)

    def blob(self, repository: Repository, wanted: str) -> bytes:
        """A configuration. Raises RegistryError."""
        known = self._recalled(wanted)
        if known is not None:
            return known.data
        data = repository.small_blob(wanted)
        self._keep(wanted, data, "")
        return data

    def _recalled(self, wanted: str) -> Manifest | None:
        record = self._store.recall(_key(wanted)) if wanted else None
        if record is None:
            return None
        try:
            data = self._path(wanted).read_bytes()
        except FileNotFoundError:
            return None
        if digest_of(data, wanted) != wanted:
            return None  # damaged: it is fetched anew
        return Manifest(data=data, media_type=str(record["media_type"]), digest=wanted)

    def _keep(self, name: str, data: bytes, media_type: str) -> None:
        draft = self._store.temporary / f"document-{secrets.token_hex(6)}"
        draft.write_bytes(data)
        draft.rename(self._path(name))
        record = {"digest": name, "media_type": media_type, "what": "a manifest of an image"}
        self._store.remember(_key(name), record)

    def _path(self, name: str) -> Path:
        return self._store.blobs / name


def _key(wanted: str) -> str:
    return digest("document", wanted)


def _named_type(data: bytes) -> str:
    """The type that a manifest says it is of, which counts before what the registry says."""
    try:
        table = parse(data)
    except ValueError:
        return ""
    return str(table.get("mediaType") or "") if isinstance(table, dict) else ""
