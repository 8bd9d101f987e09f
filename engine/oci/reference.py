"""Image references: `python:3.11-slim` and all that is left unsaid in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from engine.errors import EngineError

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"

_LEGACY_REGISTRY = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST_NAME = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<registry>{_HOST}(?::[0-9]+)?)/(?P<repository>{_PART}(?:/{_PART})*)"
    rf"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?"
)
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class InvalidReference(EngineError):
    """Raised for a text that names no image."""

    def __init__(self, text: str, reason: str = "") -> None:
        message = "invalid reference format" + (f": {reason}" if reason else "")
        super().__init__(f"failed to parse image address {text}: {message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where an image is; `tag` and `digest` are "" where they were not given."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository: `docker.io/library/python`."""
        return f"{self.registry}/{self.repository}"

    @property
    def canonical(self) -> str:
        """Everything spelt out: `docker.io/library/python:latest`."""
        return self.name + self._version

    @property
    def familiar(self) -> str:
        """As a person writes it: `python:latest`."""
        if self.registry != DEFAULT_REGISTRY:
            return self.canonical
        short = self.repository.removeprefix(_OFFICIAL)
        return (self.repository if "/" in short else short) + self._version

    @property
    def _version(self) -> str:
        tag = self.tag or ("" if self.digest else DEFAULT_TAG)
        return (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")

    def at(self, digest: str) -> Reference:
        """The same image pinned to `digest`."""
        return replace(self, digest=digest)


def parse_reference(text: str) -> Reference:
    """The image that `text` names, with the registry and `library/` that are usually left out.

    Raises InvalidReference.
    """
    if _IMAGE_ID.fullmatch(text):
        raise InvalidReference(text, "a name cannot be a 64-character hexadecimal string")
    registry, rest = _split(text)
    remote = rest.partition(":")[0]
    if remote != remote.lower():
        raise InvalidReference(text, f"repository name ({remote}) must be lowercase")
    match = _REFERENCE.fullmatch(f"{registry}/{rest}")
    if not match:
        raise InvalidReference(text)
    if len(match["repository"]) > _LONGEST_NAME:
        raise InvalidReference(text, "repository name must not be more than 255 characters")
    digest = match["digest"] or ""
    _check_digest(text, digest)
    return Reference(
        registry=match["registry"],
        repository=match["repository"],
        tag=match["tag"] or "",
        digest=digest,
    )


def _split(text: str) -> tuple[str, str]:
    """The registry and what follows; a first part counts as one only if it looks like a host."""
    first, slash, rest = text.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    registry, rest = (first, rest) if slash and is_host else (DEFAULT_REGISTRY, text)
    if registry == _LEGACY_REGISTRY:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in rest:
        rest = _OFFICIAL + rest
    return registry, rest


def _check_digest(text: str, digest: str) -> None:
    algorithm, _, encoded = digest.partition(":")
    if not digest:
        return
    if algorithm not in _HEX_LENGTHS:
        raise InvalidReference(text, f"unsupported digest algorithm {algorithm}")
    if len(encoded) != _HEX_LENGTHS[algorithm] or encoded != encoded.lower():
        raise InvalidReference(text, "invalid checksum digest length")
