"""Containers as images, and images as containers: configuration, layers and their blobs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.blobs import Form, layer_files, stacked, unpacked, unpacked_before
from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Container, Healthcheck, Port
from engine.oci import image as oci_image
from engine.oci.archive import open_archive
from engine.oci.image import History, ImageConfig, Provenance
from engine.oci.layout import Image, write_archive
from engine.oci.manifest import StoredLayer
from engine.snapshot import Snapshot

if TYPE_CHECKING:
    from engine.session import Session

# Equal containers are equal images, whenever and wherever they are made.
_EPOCH = "1970-01-01T00:00:00Z"
_STEP = History(created=_EPOCH, created_by="brewline")


def config_of(container: Container) -> ImageConfig:
    """The image configuration of a container."""
    system, _, rest = container.platform.partition("/")
    arch, _, variant = rest.partition("/")
    check = container.healthcheck
    return ImageConfig(
        architecture=arch,
        os=system,
        variant=variant,
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


def with_image(container: Container, config: ImageConfig, snapshot: Snapshot) -> Container:
    """The container with an image's files and configuration. Raises EngineError."""
    ports = []
    for text in config.exposed_ports:
        number, _, protocol = text.partition("/")
        if not number.isdecimal():
            raise EngineError(f"the image exposes {text!r}, which is no port")
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
    provenance = Provenance(
        layers=snapshot.layers,
        created=config.created,
        author=config.author,
        history=config.history,
    )
    return replace(
        container,
        rootfs=Lazy.of(snapshot),
        ran=None,
        provenance=provenance,
        platform=config.platform if config.architecture else container.platform,
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


async def images_of(
    session: Session, containers: Sequence[Container], form: Form
) -> tuple[Image, ...]:
    """The containers as images: their layers packed into blobs, each once."""

    def packed(container: Container, snapshot: Snapshot) -> Image:
        config = config_of(container)
        made = container.provenance
        return Image(
            config=replace(
                config,
                created=made.created if made and made.created else _EPOCH,
                author=made.author if made else "",
                history=_history(made, snapshot.layers),
            ),
            layers=layer_files(session.store, snapshot, form),
            annotations=dict(container.annotations),
        )

    return tuple(
        [await asyncio.to_thread(packed, each, await each.rootfs.get()) for each in containers]
    )


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
    made = await images_of(session, containers, form)

    def write() -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with draft.open("wb") as file:
                write_archive(file, made, name=name, docker=form.docker)
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    await asyncio.to_thread(write)


async def read_image(
    session: Session, container: Container, path: Path, tag: str = ""
) -> Container:
    """The container with the image of an archive. Raises EngineError if it is none."""

    def read() -> Container:
        with open_archive(path) as archive:
            stored = archive.select(container.platform, tag)

            def layer_of(layer: StoredLayer) -> str:
                known = unpacked_before(session.store, layer)
                return known or unpacked(session.store, layer, archive.open(layer))[0]

            snapshot = stacked(session.snapshots, stored.layers, layer_of)
            return with_image(container, stored.config, snapshot)

    try:
        return await asyncio.to_thread(read)
    except OSError as error:
        raise EngineError(f"the image {path.name} cannot be read: {error.strerror}") from error
