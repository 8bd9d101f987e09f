"""The embedded engine as a child of this program: its launcher, packages and events."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ci.environment import cache_folder
from ci.errors import InfrastructureError
from engine import requirements
from engine.launcher import SBIN, script

# Where this program lies, which need not be the tree that it works on.
PROGRAM = Path(__file__).resolve().parent.parent


def missing_packages(packages: Mapping[str, str] | None = None) -> list[str]:
    """Debian packages (of the embedded engine, if not of others) that this machine lacks."""
    return requirements.missing(packages, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def install_command(packages: list[str]) -> str:
    """The command that installs `packages`, for a person to type."""
    return f"apt-get install --yes --no-install-recommends {' '.join(packages)}"


def require_packages(say: Callable[[str], None], packages: Mapping[str, str] | None = None) -> None:
    """Install what the engine lacks, or raise InfrastructureError with the exact command."""
    missing = missing_packages(packages)
    if not missing:
        return
    command = install_command(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise InfrastructureError(
            f"The embedded engine lacks {', '.join(missing)}: run `{command}` as root."
        )
    say(f"Installing what the embedded engine lacks: {command}")
    for step in ("apt-get update", command):
        log = _apt(shlex.split(step))
    if missing_packages(packages):
        raise InfrastructureError(
            f"`{command}` did not work: see its output, and check the network.", detail=log
        )


def _apt(command: list[str]) -> str:
    """Run apt-get without questions, waiting for another one's lock; returns its output's end."""
    done = subprocess.run(
        [*command, "-o", "DPkg::Lock::Timeout=120"],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(done.stdout.splitlines()[-10:])


def launcher(program: Path, environ: Mapping[str, str]) -> Path:
    """An executable that the SDK can start as if it were its CLI; written when it differs."""
    folder = cache_folder(environ)
    text = script(program, sys.executable, folder / "bytecode")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"engine-{hashlib.sha256(os.fsencode(program)).hexdigest()[:16]}"
    if not (path.exists() and path.read_text() == text):
        descriptor, draft = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(draft).chmod(0o755)
        Path(draft).replace(path)
    return path


def variables(program: Path, environ: Mapping[str, str], events: Path) -> dict[str, str]:
    """What the SDK and the engine must find in their environment."""
    return {
        "_EXPERIMENTAL_DAGGER_CLI_BIN": str(launcher(program, environ)),
        "BREWLINE_STORE": environ.get("BREWLINE_STORE") or str(cache_folder(environ) / "store"),
        "BREWLINE_IMAGES": str(program / "images"),
        "BREWLINE_EVENTS": str(events),
    }


def told(events: Path) -> Iterator[dict[str, Any]]:
    """What the engine told of its work, in order."""
    try:
        lines = events.read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # the last line may be half written
            continue
        if isinstance(event, dict):
            yield event


def stand_ins(events: Path) -> tuple[str, ...]:
    """Images for which the engine used a recipe, as its events tell."""
    used = (str(event.get("image")) for event in told(events) if event.get("event") == "standin")
    return tuple(dict.fromkeys(used))


def moved_packages(events: Path) -> dict[str, list[str]]:
    """By stand-in, its Debian packages that are not as its recipe pins them."""
    return {
        str(event.get("image")): [str(line) for line in event.get("packages", ())]
        for event in told(events)
        if event.get("event") == "moved"
    }
