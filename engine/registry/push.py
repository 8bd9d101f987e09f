"""Sending an image: only the blobs that the registry lacks, and the manifests last."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from engine.blobs import Form
from engine.errors import EngineError
from engine.imageio import held, images_of
from engine.model import Container
from engine.oci.layout import Contents
from engine.oci.reference import DEFAULT_TAG, Reference
from engine.registry import places, sources
from engine.registry.errors import RegistryError, Unreachable
from engine.registry.given import credentials_of
from engine.registry.repository import Repository
from engine.registry.transport import Transport
from engine.stop import Stop, Stopped, in_thread
from engine.store import Store

if TYPE_CHECKING:
    from engine.session import Session

_AT_ONCE = 3


async def publish(
    session: Session, reference: Reference, containers: Sequence[Container], form: Form
) -> str:
    """Push the containers, platforms of one image; the reference with its digest."""
    name = reference.familiar
    if reference.digest:
        raise EngineError(f"{name}: push to a name or a tag; the digest comes from what is pushed")
    credentials = credentials_of(session, containers[0])
    ready = await held(containers)

    def work(stop: Stop) -> str:
        made = images_of(session.store, ready, form, stop)
        contents = Contents(made, docker=form.docker)
        transport = Transport(stop)
        try:
            place = places.to_push(reference, places.files())
            login = credentials.of(place.host)
            repository = Repository(transport, place, login, push=True)
            _send(session.store, repository, contents, reference.tag or DEFAULT_TAG, stop)
            return contents.top.digest
        except Unreachable as error:
            raise Unreachable(f'failed to push "{name}": {error}') from None
        except RegistryError as error:
            raise RegistryError(f'failed to push "{name}": {error}') from None
        finally:
            transport.close()

    return reference.at(await in_thread(work)).canonical


def _send(store: Store, repository: Repository, contents: Contents, tag: str, stop: Stop) -> None:
    def blob(digest: str, content: bytes | Path) -> None:
        if repository.has_blob(digest):
            return
        source = sources.known(store, repository.host, digest)
        if source in (None, repository.name) or not repository.mount(digest, str(source)):
            repository.upload(digest, content)

    with ThreadPoolExecutor(_AT_ONCE, "blob") as executor:
        going = [executor.submit(blob, *item) for item in contents.blobs.items()]
        try:
            for each in going:
                each.result()
        except BaseException:
            stop.tell()
            executor.shutdown(cancel_futures=True)
            failed = [f.exception() for f in going if not f.cancelled()]
            raise next((e for e in failed if e and not isinstance(e, Stopped)), Stopped()) from None
    sources.remember(store, repository, contents.blobs)
    for manifest in contents.manifests:
        if manifest is not contents.top:
            repository.put_manifest(manifest.digest, manifest.media_type, manifest.data)
    repository.put_manifest(tag, contents.top.media_type, contents.top.data)
