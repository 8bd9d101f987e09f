"""Platforms as people write them: `linux/arm64`, `amd64`, `linux/x86_64`."""

from __future__ import annotations

import re

from engine.errors import EngineError

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = (
    "aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris windows"
).split()
_ARCHITECTURES = (
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm"
).split()
_ALIASES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_VARIANTS = {
    **{("amd64", "v1"): "", ("arm64", "8"): "", ("arm64", "v8"): "", ("arm", ""): "v7"},
    **{("arm", number): f"v{number}" for number in "5678"},
}


def parse_platform(text: str, default: str) -> str:
    """A platform in the form that images have; what is left out is that of `default`.

    As in containerd. Raises EngineError for a text that names none.
    """
    parts = text.split("/")
    if len(parts) > 3:
        raise EngineError(f'"{text}": cannot parse platform specifier: invalid argument')
    for part in parts:
        if not _PART.fullmatch(part):
            raise EngineError(
                f'"{part}" is an invalid component of "{text}": platform specifier component '
                f'must match "^{_PART.pattern}$": invalid argument'
            )
    system = {"macos": "darwin"}.get(parts[0].lower(), parts[0].lower())
    own_system, own_arch = default.split("/")[:2]
    if len(parts) == 1 and system in _SYSTEMS:
        return f"{system}/{own_arch}"
    arch, variant = _processor(*(parts[1:] or parts))
    if len(parts) == 1:
        if arch not in _ARCHITECTURES:
            said = "unknown operating system or architecture: invalid argument"
            raise EngineError(f'"{text}": {said}')
        system = own_system
    if len(parts) == 3:
        variant = variant or ("v8" if arch == "arm64" else "")
    elif (arch, variant) == ("arm", "v7"):
        variant = ""
    return "/".join(filter(None, (system, arch, variant)))


def _processor(arch: str, variant: str = "") -> tuple[str, str]:
    arch, variant = arch.lower(), variant.lower()
    arch, meant = _ALIASES.get(arch, (arch, ""))
    variant = meant or variant
    return arch, _VARIANTS.get((arch, variant), variant)
