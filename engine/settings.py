"""What an engine is started with, read from the environment once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the store is, and what the client wants to be told."""

    store: Path
    images: Path | None = None
    events: Path | None = None
    workdir: Path = field(default_factory=Path.cwd)

    @classmethod
    def from_env(cls, env: Mapping[str, str], workdir: Path) -> Settings:
        """Read BREWLINE_STORE, BREWLINE_IMAGES and BREWLINE_EVENTS."""
        cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "/root")) / ".cache")
        images, events = env.get("BREWLINE_IMAGES"), env.get("BREWLINE_EVENTS")
        return cls(
            store=Path(env.get("BREWLINE_STORE") or cache / "brewline" / "store").absolute(),
            images=Path(images).absolute() if images else None,
            events=Path(events).absolute() if events else None,
            workdir=workdir,
        )
