"""Fields of Query that make what has no module of its own, and of Secret and CacheVolume."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.api.arguments import plain_ids, written_ids
from engine.calls import field
from engine.errors import EngineError
from engine.model import CacheVolume, Directory, Secret
from engine.schema import sdk_version

if TYPE_CHECKING:
    from engine.session import Session


@field("Query", "version")
async def version(session: Session, _: None) -> str:
    """The version of the API, which is the installed SDK's."""
    return f"v{sdk_version()}"


@field("Query", "defaultPlatform")
async def default_platform(session: Session, _: None) -> str:
    """This machine's platform."""
    return session.platform


@field("Query", "cacheVolume")
async def cache_volume(
    session: Session,
    _: None,
    key: str,
    source: Directory | None = None,
    sharing: str = "SHARED",
    owner: str = "",
) -> CacheVolume:
    """A cache volume by its key; another source or owner is another volume."""
    ids = plain_ids(owner)
    if owner and ids is None:
        raise EngineError(
            f"failed to parse ownership {owner}: open /etc/passwd: no such file or directory"
        )
    return CacheVolume(key, source, sharing, written_ids(ids))


@field("Query", "setSecret")
async def set_secret(session: Session, _: None, name: str, plaintext: str) -> Secret:
    """A secret from the client's memory."""
    return session.set_secret(name, plaintext)


@field("Query", "secret")
async def secret(session: Session, _: None, uri: str, cache_key: str | None = None) -> Secret:
    """A secret by the URI of its source: env://, file:// or cmd://; in keys its value counts."""
    if "://" not in uri:
        raise EngineError(f'parse "{uri}": malformed id')
    made = Secret(uri, uri, uri, cache_key or "")
    return made if cache_key else await asyncio.to_thread(session.keyed_by_value, made)


@field("Secret", "name")
async def name(session: Session, secret: Secret) -> str:
    """The secret's name."""
    return "" if secret.uri else secret.name


@field("Secret", "uri")
async def uri(session: Session, secret: Secret) -> str:
    """The URI of the secret's source."""
    return secret.uri


@field("Secret", "plaintext")
async def plaintext(session: Session, secret: Secret) -> str:
    """The secret's value."""
    return session.plaintext(secret)
