"""Containers as images, and images as containers: configuration, layers and their blobs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.blobs import Form, layer_files, stacked, unpacked, unpacked_before
from engine.errors import EngineError
from engine.exports import draft_of, written_to
from engine.imageconfig import config_of, with_image
from engine.model import Container
from engine.oci.archive import open_archive
from engine.oci.image import History, Provenance
from engine.oci.layout import Image, write_archive
from engine.oci.manifest import StoredLayer
from engine.snapshot import Snapshot
from engine.stop import CheckedWriter, Stop, in_thread
from engine.store import Store

if TYPE_CHECKING:
    from engine.session import Session

_MODE = 0o600
# Equal containers are equal images, whenever and wherever they are made.
_EPOCH = "1970-01-01T00:00:00Z"
_STEP = History(created=_EPOCH, created_by="brewline")


Held = Sequence[tuple[Container, Snapshot]]
"""Containers with their file systems, which are there."""


async def held(containers: Sequence[Container]) -> Held:
    """The containers with their file systems, worked out now if need be."""
    return [(container, await container.rootfs.get()) for container in containers]


def images_of(store: Store, containers: Held, form: Form, stop: Stop) -> tuple[Image, ...]:
    """The containers as images: their layers packed into blobs, each once. Raises Stopped."""
    return tuple(_image(store, *each, form, stop) for each in containers)


def _image(store: Store, container: Container, snapshot: Snapshot, form: Form, stop: Stop) -> Image:
    made = container.provenance
    config = replace(
        config_of(container),
        created=made.created if made and made.created else _EPOCH,
        author=made.author if made else "",
        history=_history(made, snapshot.layers),
    )
    layers = layer_files(store, snapshot, form, stop)
    return Image(config=config, layers=layers, annotations=dict(container.annotations))


def _history(made: Provenance | None, layers: tuple[str, ...]) -> tuple[History, ...]:
    """A step for each layer, those of the image below with what it says about itself."""
    below: tuple[History, ...] = ()
    if made is not None and layers[: len(made.layers)] == made.layers:
        steps = sum(not step.empty_layer for step in made.history)
        below = made.history if steps == len(made.layers) else ()
    more = len(layers) - sum(not step.empty_layer for step in below)
    return (*below, *[_STEP] * more)


async def write_image(
    session: Session, containers: Sequence[Container], target: Path, form: Form, name: str = ""
) -> None:
    """Write the containers, platforms of one image, as an archive; whole or not at all."""
    ready = await held(containers)

    def write(stop: Stop) -> None:
        made = images_of(session.store, ready, form, stop)
        with written_to(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft_of(target) as draft, draft.open("wb") as file:
                os.fchmod(file.fileno(), _MODE)
                write_archive(CheckedWriter(file, stop), made, name=name, docker=form.docker)

    await in_thread(write)


async def read_image(
    session: Session, container: Container, path: Path, tag: str = ""
) -> Container:
    """The container with the image of an archive. Raises EngineError if it is none."""

    def read(stop: Stop) -> Container:
        with open_archive(path) as archive:
            stored = archive.select(container.platform, tag)

            def layer_of(layer: StoredLayer) -> str:
                known = unpacked_before(session.store, layer)
                return known or unpacked(session.store, layer, archive.open(layer), stop)[0]

            snapshot = stacked(session.snapshots, stored.layers, layer_of)
            return with_image(container, stored.config, snapshot)

    try:
        return await in_thread(read)
    except OSError as error:
        raise EngineError(f"the image {path.name} cannot be read: {error.strerror}") from error
