"""Fetching an image: its manifest, its configuration, and the layers that the store lacks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import blobs
from engine.errors import EngineError
from engine.imageconfig import with_image
from engine.jsontext import parse
from engine.model import Container
from engine.oci.image import ImageConfig, ImageError
from engine.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    StoredLayer,
    chosen,
    config_descriptor,
    fitness,
    stored_layers,
)
from engine.oci.reference import Reference
from engine.registry import places, sources
from engine.registry.credentials import Credentials
from engine.registry.documents import Documents
from engine.registry.errors import NotFound, RegistryError, Unreachable
from engine.registry.given import credentials_of
from engine.registry.repository import Manifest, Repository
from engine.registry.transport import Transport
from engine.snapshot import Snapshot
from engine.stop import Stop, Stopped, in_thread

if TYPE_CHECKING:
    from engine.session import Session

_AT_ONCE = 3
_DEEPEST = 4  # an index in an index in …


async def pull(session: Session, reference: Reference, container: Container) -> Container:
    """The image that a registry has under a reference, for the container's platform.

    Raises Unreachable if the registry does not answer, EngineError if it refuses.
    """
    credentials = credentials_of(session, container)

    def work(stop: Stop) -> Container:
        transport = Transport(stop)
        try:
            return _Pull(session, reference, container, transport).run(credentials)
        finally:
            transport.close()

    return await in_thread(work)


class _Pull:
    def __init__(
        self, session: Session, reference: Reference, container: Container, transport: Transport
    ) -> None:
        self._session = session
        self._store = session.store
        self._reference = reference
        self._container = container
        self._transport = transport
        self._documents = Documents(session.store)

    def run(self, credentials: Credentials) -> Container:
        """The image of the first place that has it: a mirror, or the registry itself."""
        name = self._reference.familiar
        try:
            return places.first_answer(
                self._reference, lambda place: self._from(place, credentials)
            )
        except Stopped:
            raise
        except NotFound:
            raise NotFound(f'failed to resolve image "{name}": {name}: not found') from None
        except Unreachable:
            raise  # there may be a stand-in
        except EngineError as error:
            raise RegistryError(f'failed to resolve image "{name}": {error}') from None
        except OSError as error:
            raise EngineError(f'failed to keep image "{name}": {error}') from None

    def _from(self, place: places.Place, credentials: Credentials) -> Container:
        login = credentials.of(place.host)
        repository = Repository(self._transport, place, login)
        top = self._documents.manifest(
            repository, self._reference.digest, self._reference.tag or "latest"
        )
        manifest = parse(self._of_platform(repository, top).data)
        found = config_descriptor(manifest)
        config = ImageConfig.from_json(self._documents.blob(repository, found.digest))
        self._check_platform(config)
        layers = stored_layers(manifest, config)
        snapshot = _Layers(self._session, repository, self._transport.stop).stacked(layers)
        sources.remember(self._store, repository, (layer.digest for layer in layers))
        pinned = self._reference.at(self._reference.digest or top.digest)
        return replace(with_image(self._container, config, snapshot), image_ref=pinned.canonical)

    def _of_platform(self, repository: Repository, top: Manifest) -> Manifest:
        for _ in range(_DEEPEST):
            if top.media_type in MANIFEST_TYPES:
                return top
            if top.media_type not in INDEX_TYPES:
                raise ImageError(
                    f"{top.media_type or 'a document without a type'} is no image "
                    "that can be read; push it anew with a tool of today"
                )
            entry = chosen(parse(top.data), self._container.platform)
            top = self._documents.manifest(repository, entry.digest)
        raise ImageError("its indexes lie too deeply in each other")

    def _check_platform(self, config: ImageConfig) -> None:
        wanted = self._container.platform
        if config.architecture and fitness(config.platform, wanted) is None:
            raise ImageError(f"it has no image for platform {wanted}, only for: {config.platform}")


class _Layers:
    """The layers of one image, some at a time, unpacked as they come."""

    def __init__(self, session: Session, repository: Repository, stop: Stop) -> None:
        self._session = session
        self._store = session.store
        self._repository = repository
        self._stop = stop

    def stacked(self, layers: Iterable[StoredLayer]) -> Snapshot:
        """Their snapshot. Raises EngineError."""
        layers = list(layers)
        with ThreadPoolExecutor(_AT_ONCE, "layer") as executor:
            coming = {layer.diff_id: executor.submit(self._layer, layer) for layer in layers}
            try:
                return blobs.stacked(
                    self._session.snapshots, layers, lambda layer: coming[layer.diff_id].result()
                )
            except BaseException:
                self._stop.tell()
                executor.shutdown(cancel_futures=True)
                raise _cause(coming.values()) from None

    def _layer(self, layer: StoredLayer) -> str:
        # Images that are pulled side by side often share layers.
        with self._session.images.turns.turn(layer.diff_id, self._stop):
            known = blobs.unpacked_before(self._store, layer)
            if known is not None:
                return known
            folder = self._store.folder("pull")
            try:
                return self._fetched(layer, folder / "blob")
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _fetched(self, layer: StoredLayer, draft: Path) -> str:
        self._repository.download(layer.digest, layer.size, draft)
        name, blob = blobs.unpacked(self._store, layer, draft.open("rb"), self._stop)
        blobs.keep(self._store, name, blob, draft)
        return name


def _cause(coming: Iterable[Future[str]]) -> BaseException:
    """Why the layers did not come: not because others were stopped for it."""
    found = [error for f in coming if not f.cancelled() and (error := f.exception()) is not None]
    return next((error for error in found if not isinstance(error, Stopped)), Stopped())
