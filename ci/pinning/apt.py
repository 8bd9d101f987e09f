"""Apt beside this machine's own: its archive of Debian, and nothing installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ci.connection import last_lines
from ci.errors import InfrastructureError
from engine import packages
from engine.packages import Package, fields, paragraphs

_SECONDS = 300
_CURE = "nothing was written; run this where apt reaches an archive of bookworm"
_INSTALLS = re.compile(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", re.MULTILINE)


class Apt:
    """Apt with its lists below a folder; raises InfrastructureError for what it cannot do."""

    def __init__(self, folder: Path) -> None:
        self._configuration = folder / "apt.conf"
        self._status = folder / "status"
        folder.chmod(0o755)  # for the user as which apt fetches
        self._status.touch()
        for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (folder / name).mkdir(parents=True)
        for name in packages.apt_settings():
            _copy(packages.APT / name, folder / "etc" / name)
        architecture = self._run("dpkg", "--print-architecture").strip()
        self._configuration.write_text(f"""Dir::Etc "{folder}/etc";
Dir::State "{folder}/state";
Dir::State::status "{self._status}";
Dir::Cache "{folder}/cache";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
""")

    def update(self) -> None:
        """Fetch the lists of the archive, whose signatures apt checks."""
        self._run("apt-get", "update", "--error-on=any")

    def additions(self, wanted: Iterable[str]) -> tuple[Package, ...]:
        """Every package that comes with those that are wanted."""
        return tuple(self._described(wanted))

    def install(self, wanted: Iterable[str]) -> tuple[Package, ...]:
        """The same packages, which from now on count as installed."""
        described = self._described(wanted)
        self._status.write_text(
            "".join(f"{text}\nStatus: install ok installed\n\n" for text in described.values())
        )
        return tuple(described)

    def _described(self, wanted: Iterable[str]) -> dict[Package, str]:
        """Every package that comes with those that are wanted, and what the lists say of it."""
        names = _INSTALLS.findall(self._run("apt-get", "install", "--yes", "--simulate", *wanted))
        if not names:
            return {}
        shown = self._run("apt-cache", "show", *(f"{name}={version}" for name, version, _ in names))
        found = {}
        for text in paragraphs(shown):
            said = fields(text)
            package = Package(
                said["Package"], said["Version"], said["Architecture"], said["SHA256"]
            )
            found[package.name, package.version, package.architecture] = (package, text)
        return dict(found[name] for name in names)

    def _run(self, *command: str) -> str:
        name = shlex.join(command[:2])
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "APT_CONFIG": str(self._configuration), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=True,
            )
        except FileNotFoundError:
            raise InfrastructureError(f"{command[0]} is not on this machine: {_CURE}.") from None
        except subprocess.TimeoutExpired:
            raise InfrastructureError(f"`{name}` takes over {_SECONDS} s: {_CURE}.") from None
        except subprocess.CalledProcessError as error:
            raise InfrastructureError(
                f"`{name}` failed: {_CURE}.", detail=last_lines(error.stderr)
            ) from None
        return done.stdout


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy(source, target)
