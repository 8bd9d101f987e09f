"""Which repository of a registry is known to hold a blob, so that it need not be sent there."""

from __future__ import annotations

from collections.abc import Iterable

from engine.registry.repository import Repository
from engine.store import Store, digest


def remember(store: Store, repository: Repository, digests: Iterable[str]) -> None:
    """The repository holds these blobs."""
    for each in digests:
        if known(store, repository.host, each) is None:
            record = {"repository": repository.name, "what": "where a registry has a blob"}
            store.remember(_key(repository.host, each), record)


def known(store: Store, host: str, blob: str) -> str | None:
    """A repository of the registry `host` that held a blob once."""
    record = store.recall(_key(host, blob))
    return None if record is None else str(record["repository"])


def _key(host: str, blob: str) -> str:
    return digest("blob source", host, blob)
