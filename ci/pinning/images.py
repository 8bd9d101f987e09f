"""Pins: the digests that stand behind the names of images, in the files that name them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ci.errors import UsageError

# An instruction, a service's image, a constant of a stage. What has no tag is a stage of a
# Dockerfile, and what holds a variable is for its user to say.
_NAMED = re.compile(
    r'^(?P<before>FROM\s+(?:--\S+\s+)*|\s+image:\s*["\']?|[A-Z_]*IMAGE = ")'
    r"(?P<name>[a-z0-9][\w./:-]*:[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?(?=[\"'\s]|$)",
    re.MULTILINE,
)


def naming_files(root: Path) -> tuple[Path, ...]:
    """The files that name the images of the graph."""
    return (root / "Dockerfile", root / "compose.yaml", *sorted((root / "ci").rglob("*.py")))


def pins(root: Path) -> dict[str, set[str]]:
    """Every image that is named, with the digests it is pinned to; "" stands for no pin.

    Raises UsageError where a file cannot be read.
    """
    found: dict[str, set[str]] = {}
    for path in naming_files(root):
        for name, digest in _named(_read(path)):
            found.setdefault(name, set()).add(digest)
    return dict(sorted(found.items()))


def pin(root: Path, digests: Mapping[str, str]) -> tuple[Path, ...]:
    """Write these digests behind their names; the files that changed by it."""
    changed = []
    for path in naming_files(root):
        text = _read(path)
        pinned = pinned_text(text, digests)
        if pinned != text:
            path.write_text(pinned)
            changed.append(path)
    return tuple(changed)


def pinned_text(text: str, digests: Mapping[str, str]) -> str:
    """A file's text with the digests of the images that it names; others stay as they are."""

    def replaced(match: re.Match[str]) -> str:
        digest = digests.get(match["name"])
        return f"{match['before']}{match['name']}@{digest}" if digest else match[0]

    return _NAMED.sub(replaced, text)


def _named(text: str) -> Iterator[tuple[str, str]]:
    for match in _NAMED.finditer(text):
        yield match["name"], match["digest"] or ""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} names images and cannot be read ({error}).") from None
