"""Whether a store is whole: what is remembered can be read, and all that it needs is there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path


class Integrity:
    """A store that is looked at again and again; what was found whole is not read again.

    `is_whole` judges the contents of the files of a name that layers hold.
    """

    def __init__(self, store: Path, name: str, is_whole: Callable[[str], bool]) -> None:
        self._store = store
        self._name = name
        self._is_whole = is_whole
        self._known: set[str] = set()

    def damage(self) -> list[str]:
        """What is wrong, in words."""
        found = []
        for entry in self._store.glob("memo/*/*"):
            try:
                record = json.loads(entry.read_bytes())
            except FileNotFoundError:
                continue  # pruned
            except ValueError:
                found.append(f"{entry} is no record")
                continue
            for layer in record.get("layers", []):
                found += self._layer_damage(layer) if entry.exists() else []
        return found

    def _layer_damage(self, name: str) -> list[str]:
        if name in self._known:
            return [] if (self._store / "layers" / name).is_dir() else [f"layer {name} is gone"]
        found = []
        for folder, _, files in os.walk(self._store / "layers" / name, onerror=_fail):
            for path in (Path(folder) / file for file in files):
                contents = path.read_bytes() if path.is_file() else b""
                if path.name == self._name and not self._is_whole(contents.decode()):
                    found.append(f"{path} holds {contents!r}")
        self._known.add(name)
        return found


def _fail(error: OSError) -> None:
    raise error
