"""What the engine needs of the machine: programs, by the Debian packages that have them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

PACKAGES = {
    "catatonit": "catatonit",
    "crun": "crun",
    "git": "git",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "slirp4netns": "slirp4netns",
    "zstd": "zstd",
    "/usr/share/containers/seccomp.json": "golang-github-containers-common",
}
"""Program (or file) and the package of Debian and Ubuntu that has it."""

TEST_PACKAGES = {**PACKAGES, "skopeo": "skopeo"}
"""The same for the engine's tests: another reader of images."""


def missing(packages: Mapping[str, str] | None = None, *, path: str | None = None) -> list[str]:
    """Which of `packages` (the engine's, if none are given) are not on `path` or in PATH."""
    return [
        package
        for name, package in (packages or PACKAGES).items()
        if not (Path(name).exists() if name.startswith("/") else shutil.which(name, path=path))
    ]


def complaint() -> str:
    """What keeps the engine from running on this machine, if anything."""
    if os.geteuid() != 0:
        return "the embedded engine needs root: run it with sudo"
    if lacking := missing():
        return f"the embedded engine lacks: apt-get install {' '.join(lacking)}"
    return ""
