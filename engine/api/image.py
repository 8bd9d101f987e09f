"""Fields of Container that read and write images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine import files
from engine.api.arguments import expanded, look
from engine.blobs import form_of
from engine.calls import field
from engine.errors import EngineError
from engine.imageio import read_image, write_image
from engine.lazy import Lazy
from engine.model import Container, File
from engine.oci.reference import parse_reference
from engine.registry.places import is_loopback
from engine.root import Root
from engine.snapshot import Snapshot
from engine.standins import STAND_IN_LABEL
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_TARBALL = "/container.tar"


@field("Container", "export")
async def export(
    session: Session,
    container: Container,
    path: str,
    platform_variants: Sequence[Container] = (),
    forced_compression: str | None = None,
    media_types: str | None = None,
    expand: bool = False,
) -> str:
    """Write the container as an image archive on the client's machine; its path."""
    form = form_of(forced_compression, media_types)
    target = session.host_path(expanded(container, path, expand))
    if target.is_dir():
        raise EngineError(f"destination {target} is a directory; name a file")
    await write_image(session, _variants(container, platform_variants), target, form)
    return str(target)


@field("Container", "asTarball")
async def as_tarball(
    session: Session,
    container: Container,
    platform_variants: Sequence[Container] = (),
    forced_compression: str | None = None,
    media_types: str | None = None,
) -> File:
    """The container as an image archive."""
    form = form_of(forced_compression, media_types)
    variants = _variants(container, platform_variants)

    async def compute() -> Snapshot:
        folder = session.store.folder("tarball")
        top = folder / "fs"
        top.mkdir(mode=0o755)
        tarball = top / _TARBALL.lstrip("/")
        await write_image(session, variants, tarball, form)
        os.utime(tarball, (0, 0))
        keys = [(await v.rootfs.get()).key for v in variants]
        key = digest("tarball", keys, str([_config_key(v) for v in variants]), str(form))
        return Snapshot((session.store.adopt(top),), key)

    return File(Lazy(compute), _TARBALL)


def _config_key(container: Container) -> tuple[object, ...]:
    return (
        *(container.platform, container.env, container.entrypoint, container.args),
        *(container.user, container.workdir, container.labels, container.annotations),
        *(container.ports, container.healthcheck, container.volumes, container.stop_signal),
    )


def _variants(container: Container, others: Sequence[Container]) -> list[Container]:
    # With variants the container itself is only what they are asked of.
    return list(others) if others else [container]


@field("Container", "import")
async def import_(session: Session, container: Container, source: File, tag: str = "") -> Container:
    """The container with the image of an archive."""
    folder = session.store.folder("import")
    target = folder / "image.tar"

    def copy(root: Root) -> None:
        files.check_file(root, source.path)
        shutil.copyfile(root.real(source.path), target)

    try:
        await look(session, source.snapshot, copy)
        return await read_image(session, container, target, tag)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@field("Container", "publish")
async def publish(
    session: Session,
    container: Container,
    address: str,
    platform_variants: Sequence[Container] = (),
    forced_compression: str | None = None,
    media_types: str | None = None,
) -> str:
    """Push the container as an image; its reference with the digest."""
    from engine.registry.push import publish as push

    reference, form = parse_reference(address), form_of(forced_compression, media_types)
    variants = _variants(container, platform_variants)
    standing_in = [dict(v.labels).get(STAND_IN_LABEL, "") for v in variants]
    local = is_loopback(reference.registry)
    if any(standing_in) and not local:
        raise EngineError(
            f"refused: the image is made on a stand-in for {', '.join(filter(None, standing_in))}; "
            "publish from a machine that reaches the registry, or to one on loopback"
        )
    if not local and any(v.standins for v in variants):
        raise EngineError("refused: the image holds files of a stand-in image")
    return await push(session, reference, variants, form)
