"""Manifests and indexes: what an image consists of, and which of several fits a platform."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from engine.oci.image import CONFIG_TYPE, ImageConfig, ImageError

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
INDEX_TYPES = (INDEX_TYPE, DOCKER_INDEX_TYPE)
MANIFEST_TYPES = (MANIFEST_TYPE, DOCKER_MANIFEST_TYPE)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_USUAL = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a manifest says about another document or a blob."""

    digest: str
    size: int
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """A layer of a stored image; `digest` is "" where only the tar's own (`diff_id`) is known."""

    diff_id: str
    digest: str = ""
    media_type: str = ""
    size: int = 0
    path: str = ""


def descriptor(table: Any) -> Descriptor:
    """The descriptor in a manifest. Raises ImageError."""
    try:
        size = table.get("size")
        return Descriptor(
            digest=checked_digest(table["digest"]),
            size=size if isinstance(size, int) and size >= 0 else 0,
            media_type=str(table.get("mediaType") or ""),
        )
    except (KeyError, TypeError, AttributeError):
        raise ImageError("this is no image manifest: it lacks digests") from None


def checked_digest(digest: Any) -> str:
    """`digest` if it is one. Raises ImageError."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ImageError(f"the image names a blob {digest!r}, which is no digest")
    return digest


def config_descriptor(manifest: Any) -> Descriptor:
    """Where a manifest's configuration is. Raises ImageError for what is no container image."""
    found = descriptor(_field(manifest, "config"))
    if found.media_type not in ("", CONFIG_TYPE, DOCKER_CONFIG_TYPE):
        raise ImageError(f"this is no container image but {found.media_type}")
    return found


def stored_layers(manifest: Any, config: ImageConfig) -> tuple[StoredLayer, ...]:
    """The layers of an image, the lowest first. Raises ImageError."""
    listed = [descriptor(entry) for entry in _field(manifest, "layers") or ()]
    if len(listed) != len(config.diff_ids):
        raise ImageError("the image's manifest and configuration list different layers")
    return tuple(
        StoredLayer(
            diff_id=diff_id, digest=layer.digest, media_type=layer.media_type, size=layer.size
        )
        for layer, diff_id in zip(listed, config.diff_ids, strict=True)
    )


def entries(index: Any) -> list[Any]:
    """What an index lists, without attestations. Raises ImageError."""
    listed = _field(index, "manifests") or ()
    return [entry for entry in listed if isinstance(entry, dict) and not _is_attestation(entry)]


def chosen(index: Any, wanted: str) -> Descriptor:
    """The image in an index that fits a platform best. Raises ImageError."""
    found: tuple[int, Any] | None = None
    for entry in entries(index):
        rank = fitness(platform_of(entry), wanted)
        if rank is not None and (found is None or rank < found[0]):
            found = rank, entry
    if found is None:
        have = ", ".join(sorted({platform_of(e) or "unknown" for e in entries(index)})) or "none"
        raise ImageError(f"it has no image for platform {wanted}, only for: {have}")
    return descriptor(found[1])


def platform_of(entry: Any) -> str:
    """The platform that an entry of an index names, or ""."""
    platform = entry.get("platform") or {}
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return "/".join(str(part) for part in parts if part)


def fitness(stored: str, wanted: str) -> int | None:
    """How well an image for `stored` serves on `wanted`, 0 best; None if it does not run there."""
    if not stored:
        return 99  # it does not say; its configuration may
    (system, arch, variant), (wanted_system, wanted_arch, most) = _parts(stored), _parts(wanted)
    if (system, arch) != (wanted_system, wanted_arch):
        return None
    if variant == most:
        return 0
    # A newer processor of these families runs what was made for an older one.
    older = arch in ("arm", "amd64") and variant < most
    return ord(most[-1]) - ord(variant[-1]) if older else None


def _parts(platform: str) -> tuple[str, str, str]:
    system, _, rest = platform.partition("/")
    arch, _, variant = rest.partition("/")
    arch = _ALIASES.get(arch, arch)
    return system, arch, variant or _USUAL.get(arch, "-")


def _field(table: Any, name: str) -> Any:
    if not isinstance(table, dict):
        raise ImageError("this is no image manifest")
    return table.get(name)


def _is_attestation(entry: Any) -> bool:
    return bool((entry.get("platform") or {}).get("os") == "unknown")
