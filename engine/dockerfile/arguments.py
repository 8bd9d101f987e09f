"""Arguments that a build has before any stage: of the platform, of ARG lines, of proxies."""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError, Place
from engine.dockerfile.expand import expand_word
from engine.dockerfile.instructions import Dockerfile

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_PLATFORM = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,2}")
_SYSTEMS = ("linux", "windows", "darwin", "freebsd")
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}


def platform_arguments(target: str, here: str, stage: str) -> dict[str, str]:
    """TARGETPLATFORM, BUILDARCH and their like; `stage` is the target's name."""
    known = {"TARGETSTAGE": stage or "default"}
    for side, platform in (("TARGET", target), ("BUILD", here)):
        system, arch, variant = (*platform.split("/"), "", "")[:3]
        known |= {
            f"{side}PLATFORM": platform,
            f"{side}OS": system,
            f"{side}OSVERSION": "",
            f"{side}ARCH": arch,
            f"{side}VARIANT": variant,
        }
    return known


def global_arguments(
    file: Dockerfile, known: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, str]:
    """What FROM lines expand by: `known` ones, and those of the ARG lines before the first FROM.

    `given` values come before defaults, for known ones too.
    """
    values = {name: given.get(name, value) for name, value in known.items()}
    for line in file.arguments:
        for name, default in line.arguments:
            value = given.get(name)
            if value is None and default is not None:
                with Place(file.name, line.line, line.original).blamed():
                    value = expand_word(default, values, file.directives.escape)
            if value is not None:
                values[name] = value
    return values


def proxies(given: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables that commands see without an ARG line, in both spellings of each."""
    found: dict[str, str] = {}
    for name, value in sorted(given.items()):
        if name.upper() in _PROXIES:
            found |= {name.upper(): value, name.lower(): value}
    return found


def parse_platform(text: str, here: str) -> str:
    """`os/arch` or `os/arch/variant` of a text that may name only one of the two.

    Raises DockerfileError.
    """
    if not _PLATFORM.fullmatch(text):
        raise DockerfileError(f"failed to parse platform {quoted(text)}: give os/arch")
    parts = text.lower().split("/")
    if len(parts) == 1:
        system, arch = here.split("/")[:2]
        parts = [parts[0], arch] if parts[0] in _SYSTEMS else [system, parts[0]]
    parts[1] = _ALIASES.get(parts[1], parts[1])
    return "/".join(parts)
