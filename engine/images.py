"""Images: from the registry that they name or, where that cannot be reached, a stand-in."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, ProcessError
from engine.lazy import Lazy
from engine.model import Container
from engine.oci.reference import Reference, parse_reference
from engine.process import run
from engine.registry.errors import Unreachable
from engine.registry.stop import Turns
from engine.selection import Selection
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_APT = Path("/etc/apt")

STAND_IN_LABEL = "dev.brewline.stand-in"
"""The label of every image with a stand-in under it: such an image is not for publishing."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a stand-in is made: by a program on this machine, or by a Dockerfile."""

    folder: Path
    names: tuple[str, ...]
    table: dict[str, Any]


class Images:
    """The images of a session; each reference is resolved once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, str], Lazy[Container]] = {}
        self._unreachable: dict[str, str] = {}
        self.turns = Turns()
        self._recipes = _read_recipes(session.settings.images)

    async def pull(self, container: Container, address: str) -> Container:
        """`container` with the files and configuration of the image at `address`.

        Raises EngineError if there is neither such an image nor a stand-in.
        """
        reference = parse_reference(address)
        key = reference.canonical, container.platform
        found = self._known.setdefault(key, Lazy(lambda: self._resolve(reference, container)))
        image = await found.get()
        return replace(
            image,
            mounts=container.mounts,
            secrets=container.secrets,
            services=container.services,
            registry_auth=container.registry_auth,
        )

    async def _resolve(self, reference: Reference, container: Container) -> Container:
        from engine.registry.pull import pull

        why = self._unreachable.get(reference.registry)
        if why is None:
            try:
                return await pull(self._session, reference, container)
            except Unreachable as error:
                why = self._unreachable[reference.registry] = str(error)
        recipe = self._recipe(reference)
        if recipe is None:
            raise EngineError(
                f"{reference.familiar}: the registry cannot be reached ({why}), "
                "and there is no stand-in of that name"
            )
        made = await self._stand_in(recipe, container.platform)
        self._session.event("standin", image=reference.familiar, why=why)
        return replace(
            made,
            image_ref=reference.familiar,
            standins=made.standins | {reference.familiar},
            labels=(
                *((n, v) for n, v in made.labels if n != STAND_IN_LABEL),
                (STAND_IN_LABEL, reference.familiar),
            ),
        )

    def _recipe(self, reference: Reference) -> Recipe | None:
        for recipe in self._recipes:
            if any(parse_reference(n).canonical == reference.canonical for n in recipe.names):
                return recipe
        return None

    async def _stand_in(self, recipe: Recipe, platform: str) -> Container:
        table = recipe.table
        if "dockerfile" in table:
            return await self._built(recipe, platform)
        return Container(
            platform=platform,
            rootfs=Lazy(lambda: self._bootstrapped(recipe)),
            env=tuple(table.get("env", {}).items()),
            args=tuple(table.get("cmd", ())),
            entrypoint=tuple(table.get("entrypoint", ())),
            user=table.get("user", ""),
            workdir=table.get("workdir", ""),
        )

    async def _built(self, recipe: Recipe, platform: str) -> Container:
        from engine.dockerfile.build import Build
        from engine.dockerfile.inputs import Context
        from engine.hostfiles import host_directory

        file = recipe.folder / recipe.table["dockerfile"]
        here = host_directory(self._session, file.parent)
        apt = host_directory(self._session, _APT, Selection(include=_apt_settings(_APT)))
        build = Build(self._session, Context(here, {"apt": apt}), platform=platform)
        return await build.container(file.name)

    async def _bootstrapped(self, recipe: Recipe) -> Snapshot:
        """The root file system that the recipe's program makes on this machine."""
        program = recipe.folder / recipe.table["bootstrap"]
        key = digest("bootstrap", program.read_text())
        known = self._session.snapshots.recall(key)
        if known is not None:
            return known
        self._session.event("bootstrap", image=recipe.names[0])
        folder = self._session.store.folder("bootstrap")
        root = folder / "root"
        try:
            await run(str(program), str(root), timeout=900)
            os.chmod(root, 0o755)
            made = Snapshot((self._session.store.adopt(root),), key)
            self._session.snapshots.remember(made, f"stand-in for {recipe.names[0]}")
            return made
        except ProcessError as error:
            raise EngineError(
                f"the stand-in {recipe.names[0]} could not be made: {error}"
            ) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _apt_settings(folder: Path) -> tuple[str, ...]:
    """The files that say where this machine gets Debian's packages from, and how.

    Other distributions' archives are left out, and so are credentials.
    """
    lists = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    chosen = [file for file in lists if file.is_file() and "bookworm" in file.read_text()]
    chosen += [file for file in folder.glob("apt.conf.d/*") if "Acquire" in file.read_text()]
    names = [str(file.relative_to(folder)) for file in chosen]
    return (*names, "keyrings", "trusted.gpg.d")


def _read_recipes(folder: Path | None) -> list[Recipe]:
    if folder is None:
        return []
    import tomllib  # a tenth of a session's start

    file = folder / "images.toml"
    try:
        tables = tomllib.loads(file.read_text())["image"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise EngineError(f"the recipes of stand-in images cannot be read: {error}") from None
    return [Recipe(folder, tuple(table["names"]), table) for table in tables]
