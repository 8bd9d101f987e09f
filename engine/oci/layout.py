"""Write images as an OCI layout: an archive for people, a folder for the registry's client.

Equal images give equal bytes. With one image the archive can be loaded by Docker too.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.oci.image import CONFIG_TYPE, ImageConfig, to_bytes
from engine.oci.layer import Layer
from engine.oci.reference import parse_reference
from engine.oci.streams import BLOCK, Writer

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"


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


def write_archive(target: Writer, images: Sequence[Image], *, name: str = "") -> str:
    """Write a tar of the layout to `target`; `name` is what the image is called.

    Several images are the platforms of one. Returns the digest that a registry would show.
    """
    contents = _Contents(images, name)
    files: dict[str, bytes | Path] = {**contents.files, **contents.blobs}
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
    return contents.digest


def write_folder(folder: Path, images: Sequence[Image], *, name: str = "") -> str:
    """Write the layout into `folder`, its layers as hard links where that is possible."""
    contents = _Contents(images, name)
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    for path, data in contents.files.items():
        (folder / path).write_bytes(data)
    for path, source in contents.blobs.items():
        (folder / path).unlink(missing_ok=True)
        try:
            os.link(source, folder / path)
        except OSError:
            shutil.copyfile(source, folder / path)
    return contents.digest


def _add(tar: tarfile.TarFile, path: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(path)
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        return
    with content.open("rb") as file:
        info.size = os.fstat(file.fileno()).st_size
        tar.addfile(info, file)


class _Contents:
    """The files of a layout: those made here as bytes, the layers as paths."""

    def __init__(self, images: Sequence[Image], name: str) -> None:
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, Path] = {}
        names = _names(name)
        manifests = [self._image(image) for image in images]
        if len(images) == 1:
            top = manifests[0]
            self.files["manifest.json"] = _docker_manifest(images[0], names)
        else:
            top = self._blob(INDEX_TYPE, to_bytes(_index(manifests)))
        self.digest: str = top["digest"]
        annotated = {**top, "annotations": names} if names else top
        self.files["index.json"] = to_bytes(_index([annotated]))
        self.files["oci-layout"] = to_bytes({"imageLayoutVersion": "1.0.0"})

    def _image(self, image: Image) -> dict[str, Any]:
        for file in image.layers:
            self.blobs[_path(file.layer.digest)] = file.path
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": self._blob(CONFIG_TYPE, _config(image)),
            "layers": [_descriptor(file.layer) for file in image.layers],
        }
        if image.annotations:
            manifest["annotations"] = dict(image.annotations)
        described = self._blob(MANIFEST_TYPE, to_bytes(manifest))
        return {**described, "platform": _platform(image.config)}

    def _blob(self, media_type: str, data: bytes) -> dict[str, Any]:
        digest = _digest(data)
        self.files[_path(digest)] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}


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


def _index(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}


def _names(name: str) -> dict[str, str]:
    if not name:
        return {}
    reference = parse_reference(name)
    tag = reference.tag or "latest"
    return {_FULL_NAME: f"{reference.name}:{tag}", REF_NAME: tag}


def _descriptor(layer: Layer) -> dict[str, Any]:
    return {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}


def _platform(config: ImageConfig) -> dict[str, str]:
    platform = {"architecture": config.architecture, "os": config.os}
    return {**platform, "variant": config.variant} if config.variant else platform


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
