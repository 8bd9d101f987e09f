"""Images: from the registry that they name or, where that cannot be reached, a stand-in."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.lazy import Lazy
from engine.model import Container
from engine.oci.reference import Reference, parse_reference
from engine.registry.errors import Unreachable
from engine.standins import StandIns
from engine.stop import Turns
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_SILENT_SECONDS = 300
"""For how long a registry that did not answer is not asked again where there is a stand-in."""


def over(image: Container, container: Container) -> Container:
    """An image's files and configuration in the place of a container's, as recorded.

    Variables, labels and ports of both are there; what has no part in an image stays.
    """
    ports = {(port.port, port.protocol): port for port in (*image.ports, *container.ports)}
    return replace(
        image,
        env=tuple((dict(container.env) | dict(image.env)).items()),
        labels=tuple((dict(container.labels) | dict(image.labels)).items()),
        ports=tuple(ports.values()),
        annotations=container.annotations,
        own_args=container.own_args,
        onbuild=(*container.onbuild, *image.onbuild),
        shell=image.shell or container.shell,  # nosec B604 - a setting: nothing is run here
        mounts=container.mounts,
        secrets=container.secrets,
        volatile=container.volatile,
        services=container.services,
        registry_auth=container.registry_auth,
        terminal_args=container.terminal_args,
        terminal_privileged=container.terminal_privileged,
    )


class Images:
    """The images of a session; each reference is resolved once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, str], Lazy[Container]] = {}
        self._stand_ins = StandIns(session)
        self.turns = Turns()

    async def pull(self, container: Container, address: str) -> Container:
        """`container` with the files and configuration of the image at `address`.

        Raises EngineError if there is neither such an image nor a stand-in.
        """
        reference = parse_reference(address)
        key = reference.canonical, container.platform
        found = self._known.setdefault(key, Lazy(lambda: self._resolve(reference, container)))
        image = await found.get()
        made = over(image, container)
        return replace(made, pulled=made)

    async def _resolve(self, reference: Reference, container: Container) -> Container:
        recipe = self._stand_ins.recipe(reference)
        why = None if recipe is None else self._recently_silent(reference.registry)
        if why is None:
            from engine.registry.pull import pull  # not needed for a stand-in that is there

            try:
                return await pull(self._session, reference, container)
            except Unreachable as error:
                why = str(error)
        if recipe is None:
            raise EngineError(
                f"{reference.familiar}: the registry cannot be reached ({why}), "
                "and there is no stand-in of that name"
            )
        self._remember_silence(reference.registry, why)
        return await self._stand_ins.image(recipe, reference, container.platform, why)

    def _recently_silent(self, registry: str) -> str | None:
        """Why a registry could not be reached a short while ago."""
        record = self._session.store.recall(digest("silent", registry))
        if record is None or not 0 <= time.time() - record["at"] < _SILENT_SECONDS:
            return None
        return str(record["why"])

    def _remember_silence(self, registry: str, why: str) -> None:
        if self._recently_silent(registry) is None:
            record = {"why": why, "at": time.time()}
            self._session.store.remember(digest("silent", registry), record)
