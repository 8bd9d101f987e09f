"""Containers as images, and images as containers: configuration, layers and their blobs."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Container, Healthcheck, Port
from engine.oci import image as oci_image
from engine.oci.archive import Archive, StoredLayer, open_archive
from engine.oci.image import ImageConfig
from engine.oci.layer import Layer, pack
from engine.oci.layout import Image, LayerFile, write_archive
from engine.oci.unpack import unpack
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_EPOCH = "1970-01-01T00:00:00Z"


def config_of(container: Container) -> ImageConfig:
    """The image configuration of a container."""
    system, arch, *variant = container.platform.split("/")
    check = container.healthcheck
    return ImageConfig(
        architecture=arch,
        os=system,
        variant=variant[0] if variant else "",
        created=_EPOCH,
        env=container.env,
        entrypoint=container.entrypoint or None,
        cmd=container.args or None,
        user=container.user,
        working_dir=container.workdir,
        labels=container.labels,
        exposed_ports=tuple(f"{p.port}/{p.protocol.lower()}" for p in container.ports),
        volumes=container.volumes,
        stop_signal=container.stop_signal,
        healthcheck=None if check is None else _check_of(check),
        shell=container.shell,
        onbuild=container.onbuild,
    )


def _check_of(check: Healthcheck) -> oci_image.Healthcheck:
    return oci_image.Healthcheck(
        test=("CMD-SHELL" if check.shell else "CMD", *check.args),
        interval=check.interval,
        timeout=check.timeout,
        start_period=check.start_period,
        start_interval=check.start_interval,
        retries=check.retries,
    )


def configured(container: Container, config: ImageConfig) -> Container:
    """The container with an image's configuration."""
    ports = []
    for text in config.exposed_ports:
        number, _, protocol = text.partition("/")
        ports.append(Port(port=int(number), protocol=(protocol or "tcp").upper()))
    check = config.healthcheck
    model_check = None
    if check is not None and check.test and check.test[0] != "NONE":
        model_check = Healthcheck(
            args=check.test[1:],
            shell=check.test[0] == "CMD-SHELL",
            interval=check.interval,
            timeout=check.timeout,
            start_period=check.start_period,
            start_interval=check.start_interval,
            retries=check.retries,
        )
    return replace(
        container,
        platform=config.platform,
        env=config.env,
        entrypoint=config.entrypoint or (),
        args=config.cmd or (),
        user=config.user,
        workdir=config.working_dir,
        labels=config.labels,
        ports=tuple(ports),
        volumes=config.volumes,
        stop_signal=config.stop_signal,
        healthcheck=model_check,
        shell=config.shell,
        onbuild=config.onbuild,
    )


async def images_of(session: Session, containers: Sequence[Container]) -> list[Image]:
    """The containers as images: their layers packed into blobs, each once."""
    made = []
    for container in containers:
        snapshot = await container.rootfs.get()
        layers = await asyncio.to_thread(_blobs, session, snapshot)
        made.append(
            Image(
                config=config_of(container),
                layers=tuple(layers),
                annotations=dict(container.annotations),
            )
        )
    return made


def _blobs(session: Session, snapshot: Snapshot) -> list[LayerFile]:
    return [_blob(session, name) for name in snapshot.layers]


def _blob(session: Session, layer: str) -> LayerFile:
    """The compressed blob of a layer, made once and kept in the store."""
    store = session.store
    key = digest("blob", layer)
    record = store.recall(key)
    if record is not None and (store.blobs / record["digest"]).exists():
        path = store.blobs / record["digest"]
        return LayerFile(
            layer=Layer(digest=record["digest"], diff_id=record["diff_id"], size=record["size"]),
            path=path,
        )
    draft = store.temporary / f"blob-{secrets.token_hex(6)}"
    with draft.open("wb") as file:
        packed = pack(store.layers / layer, file)
    path = store.blobs / packed.digest
    draft.rename(path)
    store.remember(
        key,
        {
            "layers": [layer],
            "digest": packed.digest,
            "diff_id": packed.diff_id,
            "size": packed.size,
        },
    )
    return LayerFile(layer=packed, path=path)


async def write_image(
    session: Session, containers: Sequence[Container], target: Path, name: str = ""
) -> None:
    """Write the containers, platforms of one image, as an archive; whole or not at all."""
    made = await images_of(session, containers)

    def write() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with draft.open("wb") as file:
                write_archive(file, made, name=name)
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    await asyncio.to_thread(write)


async def read_image(
    session: Session, container: Container, path: Path, tag: str = ""
) -> Container:
    """The container with the image of an archive, or of a folder with an OCI layout.

    Raises EngineError if it is neither.
    """

    def read() -> Container:
        with open_archive(path) as archive:
            stored = archive.select(container.platform, tag)
            snapshot = _stacked(session, archive, stored.layers)
            return replace(configured(container, stored.config), rootfs=Lazy.of(snapshot), ran=None)

    try:
        return await asyncio.to_thread(read)
    except OSError as error:
        raise EngineError(f"the image {path.name} cannot be read: {error.strerror}") from error


def _stacked(session: Session, archive: Archive, layers: Iterable[StoredLayer]) -> Snapshot:
    """The layers of an image on top of each other; one that is in the store is not unpacked."""
    snapshot = Snapshot((), "image", plain=True)
    for layer in layers:
        key = digest("image layer", snapshot.key, layer.diff_id)
        known = session.snapshots.recall(key)
        if known is None:
            name = _unpacked(session, archive, layer)
            known = session.snapshots.stacked(snapshot, name, key, plain=True)
            session.snapshots.remember(known)
        snapshot = known
    return snapshot


def _unpacked(session: Session, archive: Archive, layer: StoredLayer) -> str:
    key = digest("unpacked", layer.diff_id)
    record = session.store.recall(key)
    if record is not None:
        return str(record["layers"][0])
    folder = session.store.folder("unpack")
    top = folder / "fs"
    top.mkdir(mode=0o755)
    try:
        with archive.open(layer) as blob:
            unpack(blob, top, digest=layer.digest, diff_id=layer.diff_id)
        name = session.store.adopt(top)
        session.store.remember(key, {"layers": [name]})
        return name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
