"""One repository of a registry: its manifests and blobs, as the OCI distribution spec has them."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from engine.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from engine.registry.credentials import Login
from engine.registry.errors import Busy, Denied, Interrupted, NotFound, RegistryError, Silent
from engine.registry.places import Place
from engine.registry.tokens import Tokens, challenge_of
from engine.registry.transport import Answer, Request, Transport

T = TypeVar("T")

_ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_MOST_SILENCES = 2
_LONGEST_REASON = 200


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
        self._transport = transport
        self._address = place.address
        self._insecure = place.insecure
        self._tokens = Tokens(transport, place.host, login)
        self._scopes = {f"repository:{self.name}:{'pull,push' if push else 'pull'}"}
        self._authorization = ""
        self._base = ""

    def manifest(self, wanted: str) -> Manifest:
        """The manifest of a tag or a digest; its content has the digest that it is told by."""
        return self.retried(lambda: self._manifest(wanted))

    def _manifest(self, wanted: str) -> Manifest:
        with self._ask("GET", f"manifests/{wanted}", {"Accept": _ACCEPT}) as answer:
            data = answer.text()
            told = answer.headers.get("Docker-Content-Digest", "")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        expected = wanted if ":" in wanted else told
        found = digest_of(data, expected)
        if expected and found != expected:
            raise RegistryError(
                f"{self.host} sent a manifest that is not the one asked for: "
                f"its digest is {found}, not {expected}"
            )
        return Manifest(data=data, media_type=kind, digest=found)

    def digest(self, tag: str) -> str:
        """The digest that a tag has now, or "" where the registry does not tell it so."""

        def attempt() -> str:
            try:
                with self._ask("HEAD", f"manifests/{tag}", {"Accept": _ACCEPT}) as answer:
                    return str(answer.headers.get("Docker-Content-Digest", ""))
            except (NotFound, Denied):
                raise
            except Interrupted:
                raise
            except RegistryError:
                return ""  # one that does not know HEAD

        return self.retried(attempt)

    def small_blob(self, digest: str) -> bytes:
        """A blob that fits into memory: a configuration."""

        def attempt() -> bytes:
            with self._ask("GET", f"blobs/{digest}") as answer:
                data = answer.text()
            if digest_of(data, digest) != digest:
                raise self._lie(digest, digest_of(data, digest))
            return data

        return self.retried(attempt)

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
                with self._ask("GET", f"blobs/{digest}", headers) as answer:
                    if at and not _goes_on(answer, at):
                        file.seek(0)
                        file.truncate()
                        seen = hashlib.new(algorithm)
                    for block in answer.blocks(size):
                        file.write(block)
                        seen.update(block)
                        if file.tell() > size:
                            raise RegistryError(f"{self.host} sent more than the blob {digest} is")
                if file.tell() < size and answer.headers.get("Content-Length") is None:
                    raise Interrupted(f"{self.host} broke off in the middle")

            self.retried(attempt)
        found = f"{algorithm}:{seen.hexdigest()}"
        if found != digest:
            raise self._lie(digest, found)

    def _lie(self, digest: str, found: str) -> RegistryError:
        return RegistryError(
            f"{self.host} sent a blob that is not the one asked for: "
            f"its digest is {found}, not {digest}"
        )

    def has_blob(self, digest: str) -> bool:
        """Whether the repository holds a blob."""

        def attempt() -> bool:
            try:
                # One that redirects has it; its storage would refuse a HEAD.
                with self._ask("HEAD", f"blobs/{digest}", follow=False):
                    return True
            except NotFound:
                return False

        return self.retried(attempt)

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the same registry, if that can be done."""
        query = urllib.parse.urlencode({"mount": digest, "from": source})
        try:
            with self._ask("POST", f"blobs/uploads/?{query}") as answer:
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
            with self._ask("POST", "blobs/uploads/") as answer:
                location = answer.headers.get("Location", "")
            if not location:
                raise RegistryError(f"{self.host} did not say where to send the blob to")
            url = urllib.parse.urljoin(self._url("blobs/uploads/"), location)
            joined = "&" if "?" in url else "?"
            headers = {"Content-Type": "application/octet-stream"}
            url = f"{url}{joined}{urllib.parse.urlencode({'digest': digest})}"
            with self._ask("PUT", url, headers, content):
                pass

        self.retried(attempt)

    def put_manifest(self, wanted: str, media_type: str, data: bytes) -> None:
        """Put a manifest under a tag or its digest."""

        def attempt() -> None:
            headers = {"Content-Type": media_type}
            with self._ask("PUT", f"manifests/{wanted}", headers, data) as answer:
                told = answer.headers.get("Docker-Content-Digest", "")
            if told and told != digest_of(data, told):
                raise RegistryError(f"{self.host} kept the manifest under another digest, {told}")

        self.retried(attempt)

    def retried(self, attempt: Callable[[], T]) -> T:
        """What `attempt` comes to, tried again while it is interrupted."""
        limits, silences = self._transport.limits, 0
        for number in range(limits.tries):
            try:
                return attempt()
            except Interrupted as error:
                silences += isinstance(error, Silent)
                pause = max(limits.pause * 2**number, error.after)
                last = number + 1 == limits.tries or silences == _MOST_SILENCES
                if last or pause > limits.longest_pause:
                    raise
                self._transport.stop.wait(pause)
        raise AssertionError("the last try returns or raises")

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Path | None = None,
        *,
        follow: bool = True,
    ) -> Answer:
        """The answer to a request that was granted, redirects followed."""
        request = Request(method=method, url=self._url(path), headers=headers or {}, body=body)
        answer = self._authorized(request)
        for _ in range(_MOST_REDIRECTS):
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                break
            if not follow:
                return answer
            with answer:
                url = urllib.parse.urljoin(request.url, location)
            request = replace(request, url=url)
            answer = self._authorized(request)
        self._check(answer)
        return answer

    def _url(self, path: str) -> str:
        if "://" in path:
            return path
        if not self._base:
            scheme = "https"
            if self._insecure:
                self._transport.trust_blindly(self._address)
                scheme = "http" if self._transport.speaks_plain_http(self._address) else "https"
            self._base = f"{scheme}://{self._address}"
        return f"{self._base}/v2/{self.name}/{path}"

    def _authorized(self, request: Request) -> Answer:
        # Not for others to whom the registry sends us: a storage refuses a login, a stranger
        # keeps it.
        answer = self._send(self._signed(request))
        challenge = challenge_of(answer) if answer.status == 401 else None
        if challenge is None or not request.url.startswith(self._base + "/"):
            return answer
        with answer:
            pass
        # A token may have run out; a second refusal is meant.
        self._authorization = self._tokens.header(challenge, self._scopes)
        return self._send(self._signed(request))

    def _signed(self, request: Request) -> Request:
        if not self._authorization or not request.url.startswith(self._base + "/"):
            return request
        headers = {**request.headers, "Authorization": self._authorization}
        return replace(request, headers=headers)

    def _send(self, request: Request) -> Answer:
        patience = self._transport.limits.commit if request.method == "PUT" else None
        return self._transport.send(request, patience=patience)

    def _check(self, answer: Answer) -> None:
        """Raise what the status of an answer means."""
        if answer.status < 300:
            return
        with answer:
            reason = _reason(answer)
        said = f"{self.host} answered {answer.status}{reason}"
        if answer.status == 404:
            raise NotFound(said)
        if answer.status in (401, 403):
            raise self._tokens.denied()
        if answer.status == 429:
            hint = "it limits how often it is asked: wait, or log in"
            raise Busy(f"{said}: {hint}", after=_after(answer))
        if answer.status >= 500:
            raise Busy(said, after=_after(answer))
        raise RegistryError(said)


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


def _after(answer: Answer) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0


def _reason(answer: Answer) -> str:
    """The first error in an answer's body, as the specification has them."""
    try:
        error = json.loads(answer.text())["errors"][0]
        text = str(error.get("message") or error["code"])
    except (RegistryError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f" ({text[:_LONGEST_REASON]})"
