"""What an engine is started with, read from the environment once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the store is, and what the client wants to be told."""

    store: Path
    store_size: int | None = None
    """The bytes that the store may take, if the client has set them."""
    images: Path | None = None
    events: Path | None = None
    workdir: Path = field(default_factory=Path.cwd)

    @classmethod
    def from_env(cls, env: Mapping[str, str], workdir: Path) -> Settings:
        """Read BREWLINE_STORE, BREWLINE_STORE_SIZE, BREWLINE_IMAGES and BREWLINE_EVENTS.

        Raises EngineError if one cannot be meant.
        """
        cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "/root")) / ".cache")
        images, events = env.get("BREWLINE_IMAGES"), env.get("BREWLINE_EVENTS")
        return cls(
            store=Path(env.get("BREWLINE_STORE") or cache / "brewline" / "store").absolute(),
            store_size=_size(env.get("BREWLINE_STORE_SIZE", "")),
            images=Path(images).absolute() if images else None,
            events=Path(events).absolute() if events else None,
            workdir=workdir,
        )


def _size(text: str) -> int | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT]B)", text.strip())
    if found is None:
        raise EngineError(f"BREWLINE_STORE_SIZE is {text!r}: write a size such as 500MB or 20GB")
    return int(float(found[1]) * _UNITS[found[2]])
