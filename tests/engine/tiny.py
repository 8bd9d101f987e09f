"""A root file system of a few programs of this machine, for stores that hold no image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("sh", "cat", "chmod", "head", "ln", "ls", "mkdir", "rm", "sleep", "sort", "yes")


def make(folder: Path) -> None:
    """Copy `PROGRAMS` and the libraries they need into `folder`."""
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None, f"{name} is not on this machine"
        _copy(folder, Path(program), folder / "bin" / name)
    for name in ("etc", "proc", "sys", "dev", "tmp"):
        (folder / name).mkdir(exist_ok=True)


def _copy(folder: Path, source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    listing = subprocess.run(["ldd", source], capture_output=True, text=True, check=True).stdout
    for word in listing.split():
        place = folder / word.lstrip("/")
        if word.startswith("/") and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, place)
