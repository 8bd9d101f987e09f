"""Debian packages of a stand-in: what its recipe pins, and what came instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError

APT = Path("/etc/apt")
"""Where this machine has its settings of apt."""

FILES = WANTED, PINS = ("packages.in", "packages.txt")
"""The files of a recipe: what it asks for, and every package that it adds by that."""

STATUS = "var/lib/dpkg/status"
"""Where an image tells what is installed in it."""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package of one version; `sha256` is that of its file."""

    name: str
    version: str
    architecture: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.architecture} {self.sha256}"


def read_pins(recipe: Path) -> tuple[Package, ...]:
    """The packages that a recipe pins; none where it adds none. Raises EngineError."""
    path = recipe / PINS
    try:
        return tuple(Package(*line.split()) for line in path.read_text().splitlines())
    except FileNotFoundError:
        return ()
    except (OSError, TypeError, UnicodeDecodeError) as error:
        raise EngineError(
            f"{path} cannot be read ({error}): run `images lock --stand-ins`"
        ) from None


def pins_text(packages: Iterable[Package]) -> str:
    """The text of the file that pins these packages."""
    return "".join(f"{package}\n" for package in sorted(packages))


def installed(status: str) -> dict[str, str]:
    """The version of every package that is installed, of dpkg's own list."""
    return {
        said["Package"]: said["Version"]
        for said in map(fields, paragraphs(status))
        if said.get("Status", "").endswith(" installed")
    }


def moved(pins: Iterable[Package], there: Mapping[str, str]) -> list[str]:
    """What is there in another version than its pin, as lines for a reader."""
    return [
        f"{pin.name} {pin.version} -> {there[pin.name]}"
        for pin in pins
        if there.get(pin.name, pin.version) != pin.version
    ]


def unpinned(pins: Iterable[Package], there: Mapping[str, str]) -> list[str]:
    """What is there and has no pin, as lines for a reader."""
    names = {pin.name for pin in pins}
    return [
        f"{name} {version} (not pinned)" for name, version in there.items() if name not in names
    ]


def apt_settings() -> tuple[str, ...]:
    """The files below `APT` that say where this machine gets Debian's packages from, and how.

    Other distributions' archives are left out, and so are credentials.
    """
    lists = [APT / "sources.list", *APT.glob("sources.list.d/*")]
    chosen = [file for file in lists if file.is_file() and "bookworm" in file.read_text()]
    chosen += [file for file in APT.glob("apt.conf.d/*") if "Acquire" in file.read_text()]
    names = [str(file.relative_to(APT)) for file in chosen]
    return (*names, "keyrings", "trusted.gpg.d")


def paragraphs(text: str) -> list[str]:
    """What a list in the form of dpkg's tells of each package."""
    return [paragraph for paragraph in text.strip().split("\n\n") if paragraph]


def fields(paragraph: str) -> dict[str, str]:
    """What one paragraph says, without lines that go on."""
    lines = (line.partition(": ") for line in paragraph.splitlines())
    return {name: value for name, _, value in lines}
