"""Images as documents and blobs, and as an archive in OCI's layout.

Equal images give equal bytes. With one image the archive can be loaded by Docker too.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.oci.image import CONFIG_TYPE, ImageConfig, to_bytes
from engine.oci.layer import GZIP_LAYER, TAR_LAYER, ZSTD_LAYER, Layer
from engine.oci.manifest import (
    DOCKER_CONFIG_TYPE,
    DOCKER_INDEX_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
)
from engine.oci.reference import parse_reference
from engine.oci.streams import BLOCK, Writer

REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"

_DOCKER_TYPES = {
    INDEX_TYPE: DOCKER_INDEX_TYPE,
    MANIFEST_TYPE: DOCKER_MANIFEST_TYPE,
    CONFIG_TYPE: DOCKER_CONFIG_TYPE,
    TAR_LAYER: "application/vnd.docker.image.rootfs.diff.tar",
    GZIP_LAYER: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    # Docker has none; BuildKit writes and reads this one.
    ZSTD_LAYER: "application/vnd.docker.image.rootfs.diff.tar.zstd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFile:
    """A layer and the file that holds its blob."""

    layer: Layer
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image to be written: `config` gets its `diff_ids` from the layers."""

    config: ImageConfig
    layers: tuple[LayerFile, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest or an index, with what others say of it."""

    data: bytes
    descriptor: dict[str, Any]

    @property
    def digest(self) -> str:
        """`sha256:…`."""
        return str(self.descriptor["digest"])

    @property
    def media_type(self) -> str:
        """What it is."""
        return str(self.descriptor["mediaType"])


class Contents:
    """What images consist of: several are the platforms of one.

    `blobs` are configurations and layers by digest, `manifests` one for each image, and `top` is
    what a name stands for: the only manifest, or an index. With `docker` all are of Docker's own
    media types.
    """

    def __init__(self, images: Sequence[Image], *, docker: bool = False) -> None:
        self._docker = docker
        self.blobs: dict[str, bytes | Path] = {}
        self.manifests = [self._manifest(image) for image in images]
        self.top = self.manifests[0]
        if len(images) != 1:
            listed = [document.descriptor for document in self.manifests]
            kind = self._type(INDEX_TYPE)
            self.top = _document(kind, _index(kind, listed))

    def _manifest(self, image: Image) -> Document:
        config = _config(image)
        self.blobs[_digest(config)] = config
        for file in image.layers:
            self.blobs[file.layer.digest] = file.path
        kind = self._type(MANIFEST_TYPE)
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": _descriptor(self._type(CONFIG_TYPE), config),
            "layers": [self._layer(file.layer) for file in image.layers],
        }
        if image.annotations:
            manifest["annotations"] = dict(image.annotations)
        return _document(kind, manifest, platform=_platform(image.config))

    def _layer(self, layer: Layer) -> dict[str, Any]:
        kind = self._type(layer.media_type)
        return {"mediaType": kind, "digest": layer.digest, "size": layer.size}

    def _type(self, media_type: str) -> str:
        return _DOCKER_TYPES[media_type] if self._docker else media_type


def write_archive(
    target: Writer, images: Sequence[Image], *, name: str = "", docker: bool = False
) -> str:
    """Write a tar of the layout to `target`; `name` is what the image is called.

    Returns the digest that a registry would show.
    """
    contents, names = Contents(images, docker=docker), _names(name)
    top = contents.top.descriptor
    entry = {**top, "annotations": names} if names else top
    files: dict[str, bytes | Path] = {
        **{_path(digest): content for digest, content in contents.blobs.items()},
        **{_path(each.digest): each.data for each in (*contents.manifests, contents.top)},
        "index.json": to_bytes(_index(INDEX_TYPE, [entry])),
        "oci-layout": to_bytes({"imageLayoutVersion": "1.0.0"}),
    }
    if len(images) == 1:
        files["manifest.json"] = _docker_manifest(images[0], names)
    with tarfile.open(
        fileobj=target,  # type: ignore[call-overload]  # it only writes and tells
        mode="w",
        format=tarfile.PAX_FORMAT,
        copybufsize=BLOCK,
    ) as tar:
        for folder in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for path in sorted(files):
            _add(tar, path, files[path])
    return contents.top.digest


def _add(tar: tarfile.TarFile, path: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(path)
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        return
    with content.open("rb") as file:
        info.size = os.fstat(file.fileno()).st_size
        tar.addfile(info, file)


def _config(image: Image) -> bytes:
    diff_ids = tuple(file.layer.diff_id for file in image.layers)
    return replace(image.config, diff_ids=diff_ids).to_json()


def _docker_manifest(image: Image, names: Mapping[str, str]) -> bytes:
    entry = {
        "Config": _path(_digest(_config(image))),
        "RepoTags": [names[_FULL_NAME]] if names else None,
        "Layers": [_path(file.layer.digest) for file in image.layers],
    }
    return to_bytes([entry])


def _index(media_type: str, manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}


def _names(name: str) -> dict[str, str]:
    if not name:
        return {}
    reference = parse_reference(name)
    tag = reference.tag or "latest"
    return {_FULL_NAME: f"{reference.name}:{tag}", REF_NAME: tag}


def _document(media_type: str, table: dict[str, Any], **more: Any) -> Document:
    data = to_bytes(table)
    return Document(data=data, descriptor={**_descriptor(media_type, data), **more})


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _platform(config: ImageConfig) -> dict[str, str]:
    platform = {"architecture": config.architecture, "os": config.os}
    return {**platform, "variant": config.variant} if config.variant else platform


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
