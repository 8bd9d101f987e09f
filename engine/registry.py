"""Images of registries: skopeo carries them, the engine packs and unpacks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineError, ProcessError
from engine.imageio import images_of, read_image
from engine.model import Container
from engine.oci.layout import write_folder
from engine.oci.reference import Reference
from engine.process import run

if TYPE_CHECKING:
    from engine.session import Session

_RESOLVE_SECONDS = 60
_CARRY_SECONDS = 3600
_NO_ROUTE = (
    "no such host",
    "connection refused",
    "network is unreachable",
    "no route to host",
    "i/o timeout",
    "deadline exceeded",
    "server misbehaving",
    "connection reset",
    "no end after",
    ": EOF",
)
_NOT_THERE = ("manifest unknown", "name unknown", "not found", "404")


class Unreachable(EngineError):
    """The registry that an image names cannot be reached."""


async def pull(session: Session, reference: Reference, container: Container) -> Container:
    """The image that a registry has under a reference, for the container's platform.

    Raises Unreachable if the registry does not answer, EngineError if it refuses.
    """
    with _Auth(session, container) as auth:
        flags = [*auth, *_insecure(reference)]
        # skopeo takes a tag or a digest, not both; the digest decides.
        asked = f"{reference.name}@{reference.digest}" if reference.digest else reference.canonical
        found = await _skopeo(
            reference, "inspect", "--raw", *_prefixed(flags, ""), f"docker://{asked}"
        )
        pinned = reference if reference.digest else reference.at(_digest(found))
        folder = session.store.folder("pull")
        try:
            system, arch, *variant = container.platform.split("/")
            await _skopeo(
                reference,
                *(f"--override-os={system}", f"--override-arch={arch}"),
                *([f"--override-variant={variant[0]}"] if variant else []),
                *("copy", "--quiet", *_prefixed(flags, "src-")),
                # By digest: a tag may move between the two calls.
                f"docker://{pinned.name}@{pinned.digest}",
                f"oci:{folder}/layout:image",
                timeout=_CARRY_SECONDS,
            )
            made = await read_image(session, container, folder / "layout")
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return replace(made, image_ref=pinned.canonical)


async def publish(session: Session, reference: Reference, containers: Sequence[Container]) -> str:
    """Push the containers, platforms of one image; the reference with its digest."""
    folder = session.store.folder("push")
    try:
        images = await images_of(session, containers)
        layout = folder / "layout"
        await asyncio.to_thread(write_folder, layout, images)
        told = folder / "digest"
        with _Auth(session, containers[0]) as auth:
            flags = [*auth, *_insecure(reference)]
            await _skopeo(
                reference,
                *("copy", "--quiet", "--all", "--preserve-digests", f"--digestfile={told}"),
                *_prefixed(flags, "dest-"),
                *(f"oci:{layout}", f"docker://{reference.canonical}"),
                timeout=_CARRY_SECONDS,
            )
        return reference.at(told.read_text().strip()).canonical
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class _Auth:
    """A file with the credentials for a container's registries, on a tmpfs while it is needed."""

    def __init__(self, session: Session, container: Container) -> None:
        self._auths = {
            address.removeprefix("https://").split("/")[0]: {
                "auth": _basic(username, session.plaintext(secret))
            }
            for address, username, secret in container.registry_auth
        }
        self._folder = session.folder("auth")

    def __enter__(self) -> list[str]:
        if not self._auths:
            return []
        file = self._folder / "auth.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"auths": self._auths}))
        return [f"authfile={file}"]

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _basic(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _insecure(reference: Reference) -> list[str]:
    """Plain HTTP is for this machine's own registries, as Docker has it."""
    host = reference.registry.rsplit(":", 1)[0]
    return ["tls-verify=false"] if host in ("localhost", "127.0.0.1", "[::1]") else []


def _prefixed(flags: Sequence[str], prefix: str) -> list[str]:
    """skopeo's names of options: `--authfile` is one for both sides, TLS is set for each."""
    return [f"--{flag}" if flag.startswith("authfile") else f"--{prefix}{flag}" for flag in flags]


async def _skopeo(reference: Reference, *command: str, timeout: float = _RESOLVE_SECONDS) -> str:
    try:
        return await run("skopeo", *command, timeout=timeout)
    except ProcessError as error:
        last = error.output.strip().splitlines()[-1] if error.output.strip() else str(error)
        if any(text in error.output for text in _NO_ROUTE):
            raise Unreachable(_message(last)) from None
        name = reference.familiar
        if any(text in error.output for text in _NOT_THERE):
            raise EngineError(f'failed to resolve image "{name}": {name}: not found') from None
        raise EngineError(f'failed to resolve image "{name}": {_message(last)}') from None


def _message(line: str) -> str:
    """The message in a line of skopeo's log."""
    _, marker, text = line.partition('msg="')
    return text.removesuffix('"').replace('\\"', '"') if marker else line


def _digest(manifest: str) -> str:
    return "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
