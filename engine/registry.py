"""Images of registries, fetched by skopeo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import EngineError, ProcessError
from engine.model import Container
from engine.oci.reference import Reference
from engine.process import run

if TYPE_CHECKING:
    from engine.session import Session


class Unreachable(EngineError):
    """The registry that an image names cannot be reached."""


_NETWORK = (
    "no such host",
    "connection refused",
    "network is unreachable",
    "i/o timeout",
    "no route to host",
    "context deadline exceeded",
    "EOF",
)


async def pull(session: Session, reference: Reference, container: Container) -> Container:
    """The image that a registry has under a reference."""
    try:
        await run("skopeo", "inspect", "--raw", f"docker://{reference.canonical}", timeout=30)
    except ProcessError as error:
        if any(text in error.output for text in _NETWORK):
            raise Unreachable(error.output.strip().splitlines()[-1][-200:]) from None
        raise EngineError(f"failed to resolve image {reference.familiar}: {error}") from None
    raise EngineError("pulling is not there yet")
