"""`images lock --stand-ins`: the packages of the recipes' images, as the archive has them now."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ci.command_line import Options
from ci.errors import CheckFailed
from ci.pinning.apt import Apt
from engine.errors import EngineError
from engine.packages import PINS, WANTED, Package, moved, pins_text, read_pins

_BASE = "debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A recipe, what it had pinned, and what it is to pin."""

    recipe: Path
    before: tuple[Package, ...]
    now: tuple[Package, ...]

    @property
    def changes(self) -> list[str]:
        """What becomes of the pins, a line each."""
        old, new = ({pin.name: pin for pin in pins} for pins in (self.before, self.now))
        others = [
            f"{name} {new[name].version}: another file"
            for name in sorted(old.keys() & new.keys())
            if old[name].version == new[name].version and old[name] != new[name]
        ]
        added = [f"{name} {new[name].version}: new" for name in sorted(new.keys() - old.keys())]
        gone = [f"{name} {old[name].version}: gone" for name in sorted(old.keys() - new.keys())]
        versions = {name: pin.version for name, pin in new.items()}
        return [*moved(self.before, versions), *others, *added, *gone]


def main(options: Options, root: Path) -> int:
    """Ask for all packages, then write them all; with `--check` only tell what would change."""
    recipes = sorted(path.parent for path in (root / "images").glob(f"*/{WANTED}"))
    with tempfile.TemporaryDirectory() as folder:
        now = _resolved(Path(folder), {recipe: _wanted(recipe) for recipe in recipes})
    found = [Locked(recipe=recipe, before=_pinned(recipe), now=now[recipe]) for recipe in recipes]
    if not options.check:
        for each in found:
            (each.recipe / PINS).write_text(pins_text(each.now))
    _tell(found, as_json=options.json)
    if options.check:
        _require_locked(found)
    return 0


def _wanted(recipe: Path) -> list[str]:
    return (recipe / WANTED).read_text().split()


def _pinned(recipe: Path) -> tuple[Package, ...]:
    """What a recipe has pinned; nothing where that cannot be read, since it is written anew."""
    with suppress(EngineError):
        return read_pins(recipe)
    return ()


def _resolved(folder: Path, wanted: Mapping[Path, list[str]]) -> dict[Path, tuple[Package, ...]]:
    """What apt installs for each recipe: in an empty root for the base, in the base for others."""
    apt = Apt(folder)
    apt.update()
    base = next(recipe for recipe in wanted if recipe.name == _BASE)
    found = {base: apt.install(wanted[base])}
    for recipe in wanted.keys() - {base}:
        found[recipe] = apt.additions(wanted[recipe])
    return found


def _require_locked(found: Iterable[Locked]) -> None:
    stale = [each.recipe.name for each in found if each.changes]
    if stale:
        raise CheckFailed(
            f"Not pinned to what the archive has now: {', '.join(stale)};"
            " run `images lock --stand-ins`."
        )


def _tell(found: Iterable[Locked], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"recipe": each.recipe.name, "packages": len(each.now), "changes": each.changes}
            for each in found
        ]
        print(json.dumps(told, indent=2))
        return
    for each in found:
        print(f"{each.recipe.name}: {len(each.now)} packages, {len(each.changes)} changes")
        for line in each.changes:
            print(f"  {line}")
