"""Where the images of a registry are really fetched: mirrors, other locations, plain HTTP.

The settings are those of containers-registries.conf(5), which Podman, Buildah and skopeo read.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import EngineError
from engine.oci.reference import DEFAULT_REGISTRY, Reference
from engine.registry.errors import RegistryError
from engine.stop import Stopped

Answer = TypeVar("Answer")

_SYSTEM = Path("/etc/containers/registries.conf")
_HUB = "registry-1.docker.io"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository on a host; an `insecure` one may speak plain HTTP or show any certificate."""

    host: str
    repository: str
    insecure: bool = False
    mirror: bool = False

    @property
    def address(self) -> str:
        """The `host:port` to connect to."""
        return _HUB if self.host == DEFAULT_REGISTRY else self.host


def is_loopback(host: str) -> bool:
    """Whether a registry is this machine's own: it may speak plain HTTP, as Docker has it."""
    return (host.rsplit(":", 1)[0] if not host.endswith("]") else host) in _LOOPBACK


def files(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The configuration of registries, and what is dropped beside it, in the order they count."""
    if named := environ.get("CONTAINERS_REGISTRIES_CONF"):
        return [Path(named)]
    own = Path.home() / ".config/containers/registries.conf"
    main = own if own.exists() else _SYSTEM
    return [main, *sorted(Path(f"{_SYSTEM}.d").glob("*.conf"))]


def to_pull(reference: Reference, read: Iterable[Path]) -> list[Place]:
    """Where the image may be fetched: mirrors, then the registry itself. Raises RegistryError."""
    entry, rest = _entry(reference, read)
    found = []
    for mirror in entry.get("mirror", ()):
        wanted = mirror.get("pull-from-mirror", "all")
        if entry.get("mirror-by-digest-only"):
            wanted = "digest-only"
        if wanted in ("all", "digest-only" if reference.digest else "tag-only"):
            found.append(_place(mirror, rest, mirror=True))
    return [*found, _place(entry, rest)]


def first_answer(reference: Reference, ask: Callable[[Place], Answer]) -> Answer:
    """What the first place answers that has the image: a mirror, or the registry itself."""
    *mirrors, last = to_pull(reference, files())
    for mirror in mirrors:
        try:
            return ask(mirror)
        except Stopped:
            raise
        except EngineError:
            continue  # what counts is what the registry itself says
    return ask(last)


def to_push(reference: Reference, read: Iterable[Path]) -> Place:
    """Where the image is sent. Raises RegistryError."""
    return _place(*_entry(reference, read))


def _entry(reference: Reference, read: Iterable[Path]) -> tuple[dict[str, Any], str]:
    """The settings for an image, and what of its name comes after their location."""
    best: tuple[int, dict[str, Any], str] = (0, {"location": reference.name}, "")
    for entry in _entries(read):
        prefix = str(entry.get("prefix") or entry.get("location") or "")
        covered = _covered(reference.name, prefix)
        if covered is not None and covered >= best[0]:
            location = entry.get("location") or reference.name[:covered]
            best = covered, {**entry, "location": location}, reference.name[covered:]
    if best[1].get("blocked"):
        raise RegistryError(
            f"{reference.registry} is blocked by the registries.conf of this machine"
        )
    return best[1], best[2]


def _entries(read: Iterable[Path]) -> Iterable[dict[str, Any]]:
    for file in read:
        try:
            found = list(tomllib.loads(file.read_text()).get("registry", ()))
            if not all(isinstance(entry, dict) for entry in found):
                raise ValueError("a registry in it is no table")
            yield from found
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError) as error:
            raise RegistryError(f"{file} cannot be read: {error}") from None


def _covered(name: str, prefix: str) -> int | None:
    """How much of `name` a prefix is, or None: `a.b`, `a.b/c`, or `*.b` for hosts below `b`."""
    host = name.partition("/")[0]
    if prefix.startswith("*."):
        return len(host) if host.endswith(prefix[1:]) else None
    if prefix and (name == prefix or name.startswith(prefix.rstrip("/") + "/")):
        return len(prefix.rstrip("/"))
    return None


def _place(entry: Mapping[str, Any], rest: str, *, mirror: bool = False) -> Place:
    host, _, repository = f"{entry.get('location', '')}{rest}".partition("/")
    if not host or not repository:
        raise RegistryError(f"registries.conf names no location that makes an image of {rest!r}")
    insecure = bool(entry.get("insecure")) or is_loopback(host)
    return Place(host=host, repository=repository, insecure=insecure, mirror=mirror)
