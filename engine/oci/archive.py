"""Read images from an archive: of an OCI layout, or of `docker save`."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.jsontext import parse
from engine.oci.image import ImageConfig, ImageError
from engine.oci.layout import REF_NAME
from engine.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    StoredLayer,
    checked_digest,
    entries,
    fitness,
    stored_layers,
)

_DEEPEST = 4  # an index in an index in …
_LARGEST_JSON = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image in a layout: `tag` is its name there, `digest` its manifest's."""

    config: ImageConfig
    layers: tuple[StoredLayer, ...]
    digest: str = ""
    tag: str = ""


class Archive:
    """An open archive of images."""

    def __init__(self, files: _Tar) -> None:
        self._files = files
        self.images = tuple(self._read())

    def select(self, platform: str = "", tag: str = "") -> StoredImage:
        """The image of that platform and tag, if they are given. Raises ImageError."""
        found: list[tuple[int, StoredImage]] = []
        for image in self.images:
            rank = fitness(image.config.platform, platform) if platform else 0
            if rank is not None and (not tag or image.tag.rpartition(":")[2] == tag):
                found.append((rank, image))
        if found:
            return min(found, key=lambda ranked: ranked[0])[1]
        have = ", ".join(sorted({image.config.platform for image in self.images})) or "none"
        wanted = " and ".join(filter(None, (platform, tag and f"tag {tag}")))
        raise ImageError(f"the archive has no image for {wanted or 'any platform'}; it has: {have}")

    def open(self, layer: StoredLayer) -> BinaryIO:
        """The bytes of a layer as they are stored; the caller closes them."""
        return self._open(layer.path)

    def _open(self, path: str) -> BinaryIO:
        file = self._files.open(path)
        if file is None:
            raise ImageError(f"the archive has no {path}")
        return file

    def _read(self) -> Iterator[StoredImage]:
        index = self._files.open("index.json")
        if index is not None:
            yield from self._in_index(_json(index), "", 0)
            return
        listing = self._files.open("manifest.json")
        if listing is None:
            raise ImageError(
                "this is no image archive: it has neither index.json nor manifest.json"
            )
        for entry in _json(listing):
            yield self._saved_by_docker(entry)

    def _in_index(self, index: Any, tag: str, depth: int) -> Iterator[StoredImage]:
        for entry in entries(index):
            named = (entry.get("annotations") or {}).get(REF_NAME, tag)
            kind = entry.get("mediaType")
            if kind in INDEX_TYPES and depth < _DEEPEST:
                yield from self._in_index(self._checked(entry), named, depth + 1)
            elif kind in MANIFEST_TYPES:
                yield self._image(self._checked(entry), entry["digest"], named)

    def _image(self, manifest: Any, digest: str, tag: str) -> StoredImage:
        config = ImageConfig.from_json(self._blob(manifest["config"]["digest"]))
        layers = tuple(
            replace(layer, path=_path(layer.digest)) for layer in stored_layers(manifest, config)
        )
        return StoredImage(config=config, layers=layers, digest=digest, tag=tag)

    def _saved_by_docker(self, entry: Any) -> StoredImage:
        with self._open(entry["Config"]) as file:
            config = ImageConfig.from_json(file.read(_LARGEST_JSON))
        paths = entry.get("Layers") or []
        if len(paths) != len(config.diff_ids):
            raise ImageError("the image's manifest and configuration list different layers")
        pairs = zip(paths, config.diff_ids, strict=True)
        layers = tuple(StoredLayer(path=path, diff_id=diff_id) for path, diff_id in pairs)
        return StoredImage(config=config, layers=layers, tag=(entry.get("RepoTags") or [""])[0])

    def _checked(self, descriptor: Any) -> Any:
        return parse(self._blob(descriptor["digest"]))

    def _blob(self, digest: str) -> bytes:
        with self._open(_path(digest)) as file:
            data = file.read(_LARGEST_JSON)
        algorithm, _, expected = digest.partition(":")
        if hashlib.new(algorithm, data).hexdigest() != expected:
            raise ImageError(f"the blob {digest} is damaged: its content has another digest")
        return data


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The images in the file `path`. Raises ImageError."""
    with ExitStack() as stack:
        try:
            archive = Archive(_Tar(stack.enter_context(tarfile.open(path))))
        except (tarfile.TarError, EOFError) as error:
            why = str(error).splitlines()[0].removesuffix(":")
            raise ImageError(f"this is no image archive: {why}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ImageError(f"the archive cannot be read: {error!r}") from None
        yield archive


class _Tar:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name.removeprefix("./"): member for member in tar}

    def open(self, path: str) -> BinaryIO | None:
        member = self._members.get(path)
        # `docker save` keeps a layer that several images share as a link to the first.
        if member is None or not (member.isreg() or member.issym() or member.islnk()):
            return None
        try:
            return cast("BinaryIO | None", self._tar.extractfile(member))
        except KeyError:
            return None


def _json(file: BinaryIO) -> Any:
    with file:
        return parse(file.read(_LARGEST_JSON))


def _path(digest: str) -> str:
    return "blobs/" + checked_digest(digest).replace(":", "/")
