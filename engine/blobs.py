"""Layers of the store as blobs of registries, and back; each is packed and unpacked once."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import EngineError
from engine.oci.layer import Layer, media_type, pack, repack
from engine.oci.layout import LayerFile
from engine.oci.manifest import StoredLayer
from engine.oci.unpack import unpack
from engine.snapshot import Snapshot, Snapshots
from engine.stop import CheckedReader, CheckedWriter, Stop
from engine.store import Store, digest

_COMPRESSIONS = {"Gzip": "gzip", "Zstd": "zstd", "Uncompressed": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How an image is written: its media types, and the compression that its layers must have.

    `compression` is "gzip", "zstd", "" for none, or None for whatever a layer has already.
    """

    compression: str | None = None
    docker: bool = False


def form_of(forced_compression: str | None, media_types: str | None) -> Form:
    """The form that a client asks for. Raises EngineError for one that cannot be made."""
    docker = media_types in ("DockerMediaTypes", "DOCKER")
    if forced_compression is None:
        return Form(docker=docker)
    if forced_compression not in _COMPRESSIONS:
        raise EngineError(
            f"forcedCompression {forced_compression} is not in the embedded engine: use Gzip, Zstd "
            "or Uncompressed, or the real Dagger engine (--engine dagger or a runner host)"
        )
    return Form(compression=_COMPRESSIONS[forced_compression], docker=docker)


def layer_files(store: Store, snapshot: Snapshot, form: Form, stop: Stop) -> tuple[LayerFile, ...]:
    """The blobs of a snapshot's layers, the lowest first."""
    return tuple(_layer_file(store, name, form, stop) for name in snapshot.layers)


def _layer_file(store: Store, layer: str, form: Form, stop: Stop) -> LayerFile:
    known = _known(store, layer, None)
    if known is not None and _fits(known.layer, form):
        return known
    wanted = "gzip" if form.compression is None else form.compression
    made = _known(store, layer, wanted)
    if made is not None:
        return made
    draft = store.temporary / f"blob-{secrets.token_hex(6)}"
    try:
        with draft.open("wb") as file:
            target = CheckedWriter(file, stop)
            if known is None:
                packed = pack(store.layers / layer, target, compression=wanted)
            else:
                # From the blob there is: the tar inside stays the same, and so does its digest.
                with known.path.open("rb") as source:
                    packed = repack(source, target, compression=wanted)
        own = known is None and wanted == "gzip"
        if own:  # what is sent from here is not fetched again
            store.remember(digest("packed", packed.digest), _layer_of_an_image(layer))
        return keep(store, layer, packed, draft, forced=None if own else wanted)
    finally:
        draft.unlink(missing_ok=True)


def _fits(layer: Layer, form: Form) -> bool:
    return form.compression is None or layer.media_type == media_type(form.compression)


def _known(store: Store, layer: str, forced: str | None) -> LayerFile | None:
    record = store.recall(_key(layer, forced))
    if record is None:
        return None
    path = store.blobs / str(record["digest"])
    if not path.exists() or path.stat().st_size != record["size"]:
        return None
    made = Layer(
        digest=record["digest"],
        diff_id=record["diff_id"],
        size=record["size"],
        media_type=record.get("media_type", media_type("gzip")),
    )
    return LayerFile(layer=made, path=path)


def keep(
    store: Store, layer: str, blob: Layer, draft: Path, *, forced: str | None = None
) -> LayerFile:
    """Take the file `draft` into the store as the blob of a layer.

    `forced` is the compression it was asked for in, if the layer has another blob already.
    """
    path = store.blobs / blob.digest
    draft.rename(path)
    record = {
        "layers": [layer],
        "digest": blob.digest,
        "diff_id": blob.diff_id,
        "size": blob.size,
        "media_type": blob.media_type,
        "what": "a layer as registries keep it",
    }
    store.remember(_key(layer, forced), record)
    return LayerFile(layer=blob, path=path)


def _key(layer: str, forced: str | None) -> str:
    return digest("blob", layer) if forced is None else digest("blob", layer, forced)


def stacked(
    snapshots: Snapshots, layers: Iterable[StoredLayer], unpacked: Callable[[StoredLayer], str]
) -> Snapshot:
    """The layers of an image on top of each other; one that is in the store is not unpacked."""
    snapshot = Snapshot((), "image", plain=True)
    for layer in layers:
        key = digest("image layer", snapshot.key, layer.diff_id)
        known = snapshots.recall(key)
        if known is None:
            known = snapshots.stacked(snapshot, unpacked(layer), key, plain=True)
            snapshots.remember(known)
        snapshot = known
    return snapshot


def unpacked_before(store: Store, layer: StoredLayer) -> str | None:
    """The layer of the store that was unpacked from such a blob, or packed into this one."""
    record = store.recall(digest("unpacked", layer.diff_id))
    record = record or store.recall(digest("packed", layer.digest))
    return None if record is None else str(record["layers"][0])


def _layer_of_an_image(layer: str) -> dict[str, object]:
    return {"layers": [layer], "what": "a layer of an image"}


def unpacked(store: Store, layer: StoredLayer, source: BinaryIO, stop: Stop) -> tuple[str, Layer]:
    """Unpack `source`, which is closed; the layer of the store, and what the blob was."""
    folder = store.folder("unpack")
    top = folder / "fs"
    top.mkdir(mode=0o755)
    try:
        with closing(source):
            checked = cast(BinaryIO, CheckedReader(source, stop))
            blob = unpack(checked, top, digest=layer.digest, diff_id=layer.diff_id)
        name = store.adopt(top)
        store.remember(digest("unpacked", layer.diff_id), _layer_of_an_image(name))
        return name, blob
    finally:
        shutil.rmtree(folder, ignore_errors=True)
