"""Stand-ins: images made on this machine where their registry cannot be reached."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import packages
from engine.errors import EngineError, ExecError, ProcessError
from engine.imageconfig import config_of, with_image
from engine.lazy import Lazy
from engine.model import Container
from engine.oci.image import ImageConfig
from engine.oci.reference import Reference, parse_reference
from engine.process import run
from engine.selection import Selection
from engine.snapshot import Snapshot
from engine.store import digest

if TYPE_CHECKING:
    from engine.session import Session

_PIN = "pin"

STAND_IN_LABEL = "dev.brewline.stand-in"
"""The label of every image with a stand-in under it: such an image is not for publishing."""

NOT_MADE = "this machine could not make the stand-in"
"""How the error begins where a recipe fails: neither an image nor a check is at fault."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a stand-in is made: by a program on this machine, or by a Dockerfile."""

    folder: Path
    names: tuple[str, ...]
    table: dict[str, Any]

    @property
    def file(self) -> Path:
        """The program or the Dockerfile; its folder has the pins of its packages."""
        return self.folder / str(self.table.get("dockerfile") or self.table["bootstrap"])


class StandIns:
    """The stand-ins that the recipes of a session's settings make."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._recipes = _read_recipes(session.settings.images)

    def recipe(self, reference: Reference) -> Recipe | None:
        """The recipe for an image, if there is one; also for a pin: it has what the name has."""
        canonical = _unpinned(reference).canonical
        for recipe in self._recipes:
            if any(parse_reference(n).canonical == canonical for n in recipe.names):
                return recipe
        return None

    async def image(
        self, recipe: Recipe, reference: Reference, platform: str, why: str
    ) -> Container:
        """The stand-in for an image that is not to be had, labelled as one.

        It is not what the digest of a pin says, so that it goes by the name alone. Raises
        EngineError for another platform than this machine's.
        """
        reference = _unpinned(reference)
        if platform != self._session.platform:
            raise EngineError(
                f"{reference.familiar} for {platform}: the registry cannot be reached ({why}), "
                f"and its stand-in is for {self._session.platform} alone"
            )
        made = await self._made(recipe, platform)
        names = made.standins | {reference.familiar}
        for name in sorted(names):
            self._session.event("standin", image=name, why=why)
            self._session.progress.note(f"{name} is a stand-in made on this machine: {why}")
        labels = [(n, v) for n, v in made.labels if n != STAND_IN_LABEL]
        return replace(
            made,
            image_ref=reference.familiar,
            standins=names,
            labels=(*labels, (STAND_IN_LABEL, reference.familiar)),
        )

    async def _made(self, recipe: Recipe, platform: str) -> Container:
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
        """The image of a recipe's Dockerfile; known again without a look at what is below it."""
        files = await asyncio.to_thread(_files_digest, recipe.folder)
        key = digest("stand-in", recipe.table["dockerfile"], platform, files)
        record = self._session.store.recall(key)
        if record is not None:
            snapshot = Snapshot(tuple(record["layers"]), record["key"], record["plain"])
            config = ImageConfig.from_json(record["config"].encode())
            known = with_image(Container(platform=platform), config, snapshot)
            self._tell_moved(record["moved"])
            return replace(known, standins=frozenset(record["stand-ins"]))
        made = await self._build(recipe, platform)
        try:
            snapshot = await made.rootfs.get()
        except ExecError as error:
            raise _not_made(recipe, f"{error.stdout}\n{error.stderr}") from None
        below = [self.recipe(parse_reference(name)) for name in sorted(made.standins)]
        moved = await self._moved([*filter(None, below), recipe], snapshot)
        self._tell_moved(moved)
        record = {
            "layers": snapshot.layers,
            "key": snapshot.key,
            "plain": snapshot.plain,
            "config": config_of(made).to_json().decode(),
            "stand-ins": sorted(made.standins),
            "moved": moved,
            "what": f"stand-in for {recipe.names[0]}",
        }
        self._session.store.remember(key, record)
        return made

    async def _build(self, recipe: Recipe, platform: str) -> Container:
        from engine.dockerfile.build import Build
        from engine.dockerfile.inputs import Context
        from engine.hostfiles import host_directory

        file = recipe.file
        here = host_directory(self._session, file.parent)
        apt = host_directory(
            self._session, packages.APT, Selection(include=packages.apt_settings())
        )
        pinned = (_PIN, *(f"{file.parent.name}/{name}" for name in packages.FILES))
        pins = host_directory(self._session, recipe.folder, Selection(include=pinned))
        build = Build(self._session, Context(here, {"apt": apt, "pins": pins}), platform=platform)
        return await build.container(file.name)

    async def _bootstrapped(self, recipe: Recipe) -> Snapshot:
        """The root file system that the recipe's program makes on this machine."""
        program = recipe.file
        pins = [program.with_name(name) for name in packages.FILES]
        read = (program, recipe.folder / _PIN, *pins)
        key = digest("bootstrap", *(path.read_text() for path in read))
        made = self._session.snapshots.recall(key) or await self._bootstrap(recipe, program, key)
        self._tell_moved(await self._moved([recipe], made))
        return made

    async def _bootstrap(self, recipe: Recipe, program: Path, key: str) -> Snapshot:
        self._session.event("bootstrap", image=recipe.names[0])
        self._session.progress.note(f"making {recipe.names[0]}, which takes a minute")
        folder = self._session.store.folder("bootstrap")
        root = folder / "root"
        try:
            await run(str(program), str(root), timeout=900)
            os.chmod(root, 0o755)
            made = Snapshot((self._session.store.adopt(root),), key)
            self._session.snapshots.remember(made, f"stand-in for {recipe.names[0]}")
            return made
        except ProcessError as error:
            raise _not_made(recipe, error.output) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _moved(self, recipes: Sequence[Recipe], snapshot: Snapshot) -> dict[str, list[str]]:
        """By stand-in, the packages of a snapshot that are not as its recipes pin them."""

        def read() -> str:
            with self._session.snapshots.view(snapshot) as root, suppress(FileNotFoundError):
                return root.read(packages.STATUS).decode()
            return ""

        there = packages.installed(await asyncio.to_thread(read))
        pins = {each.names[0]: packages.read_pins(each.file.parent) for each in recipes}
        moved = {name: packages.moved(own, there) for name, own in pins.items()}
        if any("bootstrap" in each.table for each in recipes):  # nothing is of a registry's image
            moved[recipes[-1].names[0]] += packages.unpinned(chain(*pins.values()), there)
        return {name: lines for name, lines in moved.items() if lines}

    def _tell_moved(self, moved: Mapping[str, list[str]]) -> None:
        for name, lines in moved.items():
            self._session.event("moved", image=name, packages=lines)
            self._session.progress.note(
                f"{name} is not made of the packages that are pinned: {', '.join(lines)}; "
                "run `images lock --stand-ins`"
            )


def _not_made(recipe: Recipe, output: str) -> EngineError:
    """That a stand-in could not be made: first what its recipe says of it, if it does."""
    lines = output.strip().splitlines() or [""]
    why = next((line for line in lines if line.startswith(f"{_PIN}: ")), lines[-1])
    said = why.removeprefix(f"{_PIN}: ")
    return EngineError(f"{NOT_MADE} {recipe.names[0]}: {said}\n{output.strip()}")


def _unpinned(reference: Reference) -> Reference:
    return replace(reference, digest="") if reference.tag else reference


def _files_digest(recipes: Path) -> str:
    """What stands for all that a build of a recipe reads: recipes may be built on one another."""
    hashed = hashlib.sha256()
    for root in (recipes, *(packages.APT / name for name in packages.apt_settings())):
        for file in _files_below(root):
            hashed.update(f"{file} {file.stat().st_mode}\0".encode())
            hashed.update(hashlib.sha256(file.read_bytes()).digest())
    return hashed.hexdigest()


def _files_below(path: Path) -> Iterator[Path]:
    return iter([path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()))


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
