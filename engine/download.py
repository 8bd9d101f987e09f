"""Files from HTTP servers."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, replace
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import File, Secret, Service
from engine.reaching import reached
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_SILENCE_SECONDS = 60
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is fetched, and what the file is called."""

    url: str
    name: str
    mode: int = 0o600
    checksum: str = ""
    auth: Secret | None = None
    service: Service | None = None
    """What must run meanwhile."""


def named(url: str) -> str:
    """The last part of the URL's path, or `index`. Raises EngineError for another scheme."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise EngineError(f"{url}: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise EngineError(f"{url}: name a URL that begins with http:// or https://")
    return urllib.parse.unquote(os.path.basename(parts.path.rstrip("/"))) or "index"


def downloaded(session: Session, source: Source) -> File:
    """The file, fetched when it is first asked for."""
    if not source.name or "/" in source.name:
        raise EngineError(f"a file's name is one name and not a path: {source.name!r}")
    auth = session.plaintext(source.auth) if source.auth else ""

    async def compute() -> Snapshot:
        algorithm, _, wanted = source.checksum.partition(":")
        if algorithm == "sha256":
            # What is known by its contents need not be fetched again.
            known = session.snapshots.recall(_key(source, wanted.lower()))
            if known is not None:
                return known
        async with reached(session, source.url, source.service) as url:
            return await asyncio.to_thread(_kept, session, source, url, auth)

    return File(Lazy(compute), f"/{source.name}")


def _key(source: Source, sha256: str) -> str:
    return digest("http", sha256, source.name, source.mode)


def _kept(session: Session, source: Source, url: str, auth: str) -> Snapshot:
    folder = session.store.folder("http")
    try:
        top = folder / "fs"
        top.mkdir(mode=0o755)
        place = top / source.name
        found, seconds = _fetch(source, url, auth, place)
        place.chmod(source.mode)
        os.utime(place, (seconds, seconds))
        contents = _key(source, found)
        key = digest(contents, seconds)
        known = session.snapshots.recall(key)
        if known is not None:
            return known
        made = Snapshot((session.store.adopt(top),), key)
        for each in (made, replace(made, key=contents)):
            session.snapshots.remember(each, "a file fetched by HTTP")
        return made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(source: Source, url: str, auth: str, place: Path) -> tuple[str, int]:
    """Write what the server sends to `place`; its SHA-256, and when it was changed last.

    Raises EngineError.
    """
    algorithm, _, wanted = (source.checksum or "sha256:").partition(":")
    try:
        checked, sha256 = hashlib.new(algorithm), hashlib.sha256()
    except ValueError:
        raise EngineError(f'invalid checksum "{source.checksum}": give sha256:…') from None
    try:
        request = urllib.request.Request(url)
        opener = urllib.request.build_opener()
        if auth:
            # Not for whoever the server redirects to.
            request.add_unredirected_header("Authorization", auth)
        if url != source.url:
            request.add_unredirected_header("Host", urllib.parse.urlsplit(source.url).netloc)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_SILENCE_SECONDS) as answer:
            with place.open("wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    checked.update(block)
                    sha256.update(block)
            # A connection that breaks off reads like the end of the file.
            if answer.length:
                raise EngineError(
                    f"failed to fetch {source.url}: the server broke off, "
                    f"{answer.length} bytes are missing"
                )
            changed = parsedate_tz(answer.headers.get("Last-Modified"))
    except urllib.error.HTTPError as error:
        raise EngineError(f"{source.url}: invalid response status {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", error)
        raise EngineError(f"failed to fetch {source.url}: {why}") from None
    if wanted and checked.hexdigest() != wanted.lower():
        raise EngineError(
            f"{source.url}: http checksum mismatch: expected {source.checksum}, "
            f"got {algorithm}:{checked.hexdigest()}"
        )
    return sha256.hexdigest(), mktime_tz(changed) if changed else 0
