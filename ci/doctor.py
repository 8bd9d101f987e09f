"""`doctor`: what this machine has, what it lacks, and how to mend it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci import embedded
from ci.command_line import Options
from ci.engine import answering_runtime
from ci.environment import Environment, cache_folder
from ci.errors import BrewlineError, Failure
from ci.settings import Settings
from engine.launcher import SBIN

_GIGABYTE = 1024**3
_DISK_NEEDED = 6 * _GIGABYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at; a cure means that something lacks, `vital` that no stage can run."""

    subject: str
    found: str
    cure: str = ""
    vital: bool = False


def main(options: Options, root: Path) -> int:
    """Print the findings; 0, or the code for infrastructure where the graph cannot run here."""
    findings = list(look(root))
    for finding in findings:
        mark = "ok  " if not finding.cure else "LACK" if finding.vital else "note"
        print(f"{mark}  {finding.subject}: {finding.found}")
        if finding.cure:
            print(f"      → {finding.cure}")
    return Failure.INFRASTRUCTURE.exit_code if any(item.vital for item in findings) else 0


def look(root: Path) -> Iterator[Finding]:
    """All findings, the machine first, the run's settings last."""
    yield Finding(subject="Python", found=f"{sys.version.split()[0]} in {sys.executable}")
    yield _git()
    yield _disk(cache_folder(os.environ))
    yield from (_environment(name, root) for name in ("ci", "dev"))
    runtime = answering_runtime()
    yield Finding(
        subject="container runtime", found=f"{runtime} answers" if runtime else "none answers"
    )
    yield from _embedded(needed=runtime is None)
    yield from _settings()


def _git() -> Finding:
    git = shutil.which("git")
    if git:
        return Finding(subject="git", found=git)
    return Finding(
        subject="git",
        found="not there: commit and branch stay unknown",
        cure="apt-get install --yes git",
    )


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / _GIGABYTE:.0f} GB free in {existing}"
    if free >= _DISK_NEEDED:
        return Finding(subject="disk", found=found)
    return Finding(
        subject="disk",
        found=found,
        cure=f"free {_DISK_NEEDED // _GIGABYTE} GB, or set XDG_CACHE_HOME to a larger disk",
        vital=True,
    )


def _environment(name: str, root: Path) -> Finding:
    environment = Environment.of(name, root, os.environ)
    state = "made" if environment.is_whole() else "not made yet: the first run makes it"
    return Finding(subject=f"environment {name}", found=f"{state} ({environment.folder})")


def _embedded(*, needed: bool) -> Iterator[Finding]:
    """What the embedded engine needs; vital only where nothing else can run the graph."""
    subject = "embedded engine"
    if sys.platform != "linux":
        yield Finding(
            subject=subject,
            found=f"runs on Linux only, this is {sys.platform}",
            cure="start Docker, or name a Dagger engine with --engine URL",
            vital=needed,
        )
        return
    if os.geteuid() != 0:
        yield Finding(
            subject=subject, found="not root", cure="run as root, or start Docker", vital=needed
        )
    if "overlay" not in Path("/proc/filesystems").read_text() and not _modprobe():
        yield Finding(
            subject=subject,
            found="the kernel has no overlay file system",
            cure="load it as root: modprobe overlay",
            vital=needed,
        )
    missing = embedded.missing_packages()
    if not missing:
        yield Finding(subject=subject, found="its packages are there")
    elif os.geteuid() == 0 and shutil.which("apt-get"):
        yield Finding(
            subject=subject,
            found=f"lacks {', '.join(missing)}; the first run installs them",
            cure=embedded.install_command(missing),
        )
    else:
        yield Finding(
            subject=subject,
            found=f"lacks {', '.join(missing)}",
            cure=embedded.install_command(missing),
            vital=needed,
        )


def _modprobe() -> bool:
    """Whether the kernel could load overlay: a module that is not loaded yet is no lack."""
    modprobe = shutil.which("modprobe", path=SBIN)
    if not modprobe:
        return False
    command = [modprobe, "--dry-run", "--quiet", "overlay"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _settings() -> Iterator[Finding]:
    try:
        settings = Settings.from_environment(os.environ)
    except BrewlineError as error:
        yield Finding(subject="settings", found=error.message, cure="correct it", vital=True)
        return
    source = settings.brewery_csv or "generated breweries (BREWERY_CSV names a real data set)"
    yield Finding(subject="source for tests", found=str(source))
    mail = f"by {settings.smtp.host}" if settings.smtp else "none (BREWLINE_SMTP_HOST, _FROM, _TO)"
    yield Finding(subject="email", found=mail)
