"""One repository of a registry: its manifests and blobs, as the OCI distribution spec has them."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from engine.oci.manifest import INDEX_TYPE, INDEX_TYPES, MANIFEST_TYPES
from engine.registry.client import Client
from engine.registry.credentials import Login
from engine.registry.errors import (
    Denied,
    Interrupted,
    NotFound,
    RegistryError,
    Unreachable,
    Untrue,
)
from engine.registry.places import Place
from engine.registry.transport import Answer, Transport

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_MOST_PAGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest or an index as its bytes are."""

    data: bytes
    media_type: str
    digest: str


class Repository:
    """A repository; its methods try again where that is safe. They raise RegistryError."""

    def __init__(
        self, transport: Transport, place: Place, login: Login | None, *, push: bool = False
    ) -> None:
        self.host = place.host
        self.name = place.repository
        self._client = Client(transport, place, login, push=push)

    def manifest(self, wanted: str) -> Manifest:
        """The manifest of a tag or a digest; its content has the digest that it is told by."""
        return self._client.retried(lambda: self._manifest(wanted))

    def _manifest(self, wanted: str) -> Manifest:
        with self._client.ask("GET", f"manifests/{wanted}", {"Accept": _ACCEPT}) as answer:
            data = answer.text()
            told = answer.headers.get("Docker-Content-Digest", "")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        expected = wanted if ":" in wanted else told
        found = digest_of(data, expected)
        if expected and found != expected:
            raise Untrue(
                f"{self.host} sent a manifest that is not the one asked for: "
                f"its digest is {found}, not {expected}"
            )
        return Manifest(data=data, media_type=kind, digest=found)

    def digest(self, tag: str) -> str:
        """The digest that a tag has now, or "" where the registry does not tell it so."""

        def attempt() -> str:
            try:
                with self._client.ask("HEAD", f"manifests/{tag}", {"Accept": _ACCEPT}) as answer:
                    return str(answer.headers.get("Docker-Content-Digest", ""))
            except (NotFound, Denied):
                raise
            except Interrupted:
                raise
            except RegistryError:
                return ""  # one that does not know HEAD

        return self._client.retried(attempt)

    def small_blob(self, digest: str) -> bytes:
        """A blob that fits into memory: a configuration."""

        def attempt() -> bytes:
            with self._client.ask("GET", f"blobs/{digest}") as answer:
                data = answer.text()
            if digest_of(data, digest) != digest:
                raise self._lie(digest, digest_of(data, digest))
            return data

        return self._client.retried(attempt)

    def download(self, digest: str, size: int, target: Path) -> None:
        """Write a blob to `target`; what broke off goes on where it stopped."""
        algorithm = digest.partition(":")[0]
        seen = hashlib.new(algorithm)
        with target.open("wb") as file:

            def attempt() -> None:
                nonlocal seen
                at = file.tell()
                if at == size:
                    return
                headers = {"Range": f"bytes={at}-"} if at else {}
                with self._client.ask("GET", f"blobs/{digest}", headers) as answer:
                    if at and not _goes_on(answer, at):
                        file.seek(0)
                        file.truncate()
                        seen = hashlib.new(algorithm)
                    for block in answer.blocks(size):
                        file.write(block)
                        seen.update(block)
                        if file.tell() > size:
                            raise Untrue(f"{self.host} sent more than the blob {digest} is")
                if file.tell() < size and answer.headers.get("Content-Length") is None:
                    raise Interrupted(f"{self.host} broke off in the middle")

            self._client.retried(attempt)
        found = f"{algorithm}:{seen.hexdigest()}"
        if found != digest:
            raise self._lie(digest, found)

    def _lie(self, digest: str, found: str) -> Untrue:
        return Untrue(
            f"{self.host} sent a blob that is not the one asked for: "
            f"its digest is {found}, not {digest}"
        )

    def has_blob(self, digest: str) -> bool:
        """Whether the repository holds a blob."""

        def attempt() -> bool:
            try:
                # One that redirects has it; its storage would refuse a HEAD.
                with self._client.ask("HEAD", f"blobs/{digest}", follow=False):
                    return True
            except NotFound:
                return False

        return self._client.retried(attempt)

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the same registry, if that can be done."""
        query = urllib.parse.urlencode({"mount": digest, "from": source})
        try:
            with self._client.ask("POST", f"blobs/uploads/?{query}") as answer:
                return answer.status == 201
        except RegistryError:
            return False  # then it is sent

    def upload(self, digest: str, content: bytes | Path) -> None:
        """Send a blob; a try after one that broke off begins anew, if the blob is not there."""
        tried = False

        def attempt() -> None:
            nonlocal tried
            if tried and self.has_blob(digest):
                return
            tried = True
            with self._client.ask("POST", "blobs/uploads/") as answer:
                location = answer.headers.get("Location", "")
            if not location:
                raise RegistryError(f"{self.host} did not say where to send the blob to")
            url = urllib.parse.urljoin(self._client.url("blobs/uploads/"), location)
            joined = "&" if "?" in url else "?"
            headers = {"Content-Type": "application/octet-stream"}
            url = f"{url}{joined}{urllib.parse.urlencode({'digest': digest})}"
            with self._client.ask("PUT", url, headers, content):
                pass

        self._client.retried(attempt)

    def referrers(self, digest: str) -> list[bytes] | None:
        """The index of what refers to a manifest, page by page; None where there is no such API."""
        path, pages = f"referrers/{digest}", list[bytes]()
        while path and len(pages) < _MOST_PAGES:
            found = self._client.retried(lambda: self._page(path))
            if found is None and pages:  # half a list would pass for the whole
                raise RegistryError(f"{self.host} lacks the next page of what refers to {digest}")
            if found is None:
                return None
            page, path = found
            pages.append(page)
        if path:
            raise RegistryError(f"{self.host} has no end of what refers to {digest}")
        return pages

    def _page(self, path: str) -> tuple[bytes, str] | None:
        """A page of referrers, and where the next one is."""
        try:
            with self._client.ask("GET", path, {"Accept": INDEX_TYPE}) as answer:
                if not answer.headers.get("Content-Type", "").startswith(INDEX_TYPE):
                    return None
                following = _NEXT.search(answer.headers.get("Link", ""))
                base = self._client.url(path)
                return answer.text(), urllib.parse.urljoin(base, following[1]) if following else ""
        except (Denied, Interrupted, Unreachable):
            raise
        except RegistryError:
            return None  # not found, or not understood

    def put_manifest(self, wanted: str, media_type: str, data: bytes) -> None:
        """Put a manifest under a tag or its digest."""

        def attempt() -> None:
            headers = {"Content-Type": media_type}
            with self._client.ask("PUT", f"manifests/{wanted}", headers, data) as answer:
                told = answer.headers.get("Docker-Content-Digest", "")
            if told and told != digest_of(data, told):
                raise Untrue(f"{self.host} kept the manifest under another digest, {told}")

        self._client.retried(attempt)


def digest_of(data: bytes, like: str = "") -> str:
    """The digest of `data`, by the algorithm of the digest `like`."""
    algorithm = like.partition(":")[0] or "sha256"
    try:
        return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    except (ValueError, TypeError):
        raise RegistryError(f"unsupported digest algorithm {algorithm}") from None


def _goes_on(answer: Answer, at: int) -> bool:
    started = answer.headers.get("Content-Range", "").strip().startswith(f"bytes {at}-")
    return answer.status == 206 and started
