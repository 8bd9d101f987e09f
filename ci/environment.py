"""The program's own virtual environment: made once from a hashed lock file, repaired when broken.

Everything here is standard library, since it runs on a machine that has nothing but Python.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ci import installer
from ci.errors import InfrastructureError

Say = Callable[[str], None]

# Told to the process that takes over, so that a repair that does not help is not tried for ever.
REPAIRED = "BREWLINE_ENVIRONMENT_REPAIRED"

_OURS = ("ci", "engine")


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The folder for what may be made again: `$XDG_CACHE_HOME` or `~/.cache`, below `brewline`."""
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "brewline"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that belongs to one lock file and one Python."""

    folder: Path
    lock_file: Path

    @classmethod
    def of(cls, name: str, root: Path, environ: Mapping[str, str]) -> Environment:
        """The environment `name` of this tree, made or not."""
        lock_file = root / "requirements" / f"{name}.txt"
        identity = hashlib.sha256(lock_file.read_bytes() + _interpreter().encode())
        folder = cache_folder(environ) / f"env-{name}-{identity.hexdigest()[:16]}"
        return cls(folder, lock_file)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written last: without it the folder is half made."""
        return self.folder / "complete.json"

    @property
    def active(self) -> bool:
        """Whether this process runs in it."""
        return Path(sys.prefix) == self.folder

    def is_whole(self) -> bool:
        """Whether it can be used: complete, its interpreter there, no package gone."""
        try:
            stamp = json.loads(self.stamp.read_text())
            present = set(os.listdir(_packages(self.folder)))
        except (OSError, ValueError):
            return False
        return (
            isinstance(stamp, dict)
            and stamp.get("interpreter") == _interpreter()
            and present.issuperset(stamp.get("packages", ["no packages recorded"]))
            and self.python.exists()
        )

    def make(self, say: Say, environ: Mapping[str, str]) -> None:
        """Make it unless it is whole; two that start at once make it once.

        Raises InfrastructureError, with nothing half made left, where that cannot be done.
        """
        if self.is_whole():
            return
        try:
            with locked(self.folder.with_suffix(".lock"), say, "making the environment"):
                if not self.is_whole():
                    self._build(say, environ)
        except OSError as error:
            raise InfrastructureError(
                f"Cannot make the environment in {self.folder}: {error.strerror or error}."
                " Give it room and write access, or set XDG_CACHE_HOME to another folder."
            ) from error

    def discard(self) -> None:
        """Mark it as not whole, so that the next `make` starts afresh."""
        self.stamp.unlink(missing_ok=True)

    def _build(self, say: Say, environ: Mapping[str, str]) -> None:
        broken = self.folder.exists()
        shutil.rmtree(self.folder, ignore_errors=True)
        verb = "Repairing" if broken else "Making"
        say(f"{verb} the environment from {self.lock_file.name} in {self.folder} (once) …")
        started = time.monotonic()
        try:
            # Without pip: Debian's python3 lacks ensurepip until python3-venv is installed.
            # In place: scripts inside hold the folder's name, so it could not be moved later.
            venv.create(self.folder, symlinks=True, with_pip=False)
            installer.install(self.lock_file, self.python, environ)
            self.stamp.write_text(json.dumps(_facts(self.folder)))
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        say(f"The environment is ready after {time.monotonic() - started:.1f} s.")


def enter(
    name: str, root: Path, say: Say, environ: Mapping[str, str], arguments: Sequence[str]
) -> None:
    """Go on in the environment `name`: returns only when this process runs in it already."""
    environment = Environment.of(name, root, environ)
    if environment.active:
        return
    environment.make(say, environ)
    _become(environment, root, environ, arguments)


def repair(
    name: str, root: Path, error: ImportError, environ: Mapping[str, str], arguments: Sequence[str]
) -> NoReturn:
    """Start again after an import failed inside the environment; once, then say what is wrong."""
    if (error.name or "").partition(".")[0] in _OURS:
        raise error  # no environment can mend a fault of this program
    environment = Environment.of(name, root, environ)
    if environ.get(REPAIRED) or not environment.active:
        raise InfrastructureError(
            f"The environment {environment.folder} lacks a module even after a repair ({error}):"
            f" remove that folder, and check requirements/{name}.txt."
        ) from error
    environment.discard()
    environ = {**environ, REPAIRED: "1"}
    base = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    os.execve(base, [base, str(root / "ci" / "main.py"), *arguments], environ)


def _become(
    environment: Environment, root: Path, environ: Mapping[str, str], arguments: Sequence[str]
) -> NoReturn:
    python = str(environment.python)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, [python, str(root / "ci" / "main.py"), *arguments], environ)


def _interpreter() -> str:
    """Path and version of the Python below any environment: another one needs its own packages."""
    return f"{os.path.realpath(sys.executable)} {sys.version}"


def _packages(folder: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / version / "site-packages"


def _facts(folder: Path) -> dict[str, object]:
    names = sorted(name for name in os.listdir(_packages(folder)) if name != "__pycache__")
    return {"interpreter": _interpreter(), "packages": names}


@contextlib.contextmanager
def locked(path: Path, say: Say, work: str) -> Iterator[None]:
    """Hold a lock for some `work`; the kernel gives it back however this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another run is {work}: waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
