"""A registry of images on loopback, for as long as a program or a test needs one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ci.environment import cache_folder, locked
from ci.errors import InfrastructureError

_PROGRAM = "docker-registry"
_START_SECONDS = 60
_LISTENING = re.compile(r'msg="listening on (127\.[\d.]+:\d+)[",]')

_SETTINGS = {
    "REGISTRY_HTTP_ADDR": "127.0.0.1:0",
    "REGISTRY_LOG_LEVEL": "info",
    "REGISTRY_LOG_ACCESSLOG_DISABLED": "true",
    "OTEL_TRACES_EXPORTER": "none",
}


def program(environ: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Debian's docker-registry; taken from its package where it is not installed.

    Only the program is taken: to install the package would start a service that listens on all
    addresses. Raises InfrastructureError where it cannot be had.
    """
    installed = shutil.which(_PROGRAM)
    if installed:
        return Path(installed)
    kept = cache_folder(environ) / _PROGRAM
    if not kept.exists():
        # Two apt-get at a time stand in each other's way.
        with locked(kept.with_name(f"{_PROGRAM}.lock"), say, "taking the registry"):
            if not kept.exists():
                say(f"Taking the registry from the package {_PROGRAM}")
                _take(kept)
    return kept


def _take(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="brewline-") as folder:
        try:
            if not _apt("download", _PROGRAM, folder=folder):
                _apt("update", folder=folder)
                _apt("download", _PROGRAM, folder=folder)
            (package,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", package, f"{folder}/fs"], check=True)
            draft = target.with_name(f".{target.name}.draft")
            shutil.copy(f"{folder}/fs/usr/bin/{_PROGRAM}", draft)
            draft.replace(target)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise InfrastructureError(
                f"There is no {_PROGRAM} here, and `apt-get download {_PROGRAM}` did not work: "
                "put the program into the PATH."
            ) from error


def _apt(*words: str, folder: str) -> bool:
    command = ["apt-get", *words, "-o", "DPkg::Lock::Timeout=120"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def running(binary: Path, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """A registry with its data and log in `folder`; its `host:port`.

    `settings` are variables of its own, such as REGISTRY_AUTH_HTPASSWD_PATH. Raises
    InfrastructureError if it does not start.
    """
    log, data = folder / "registry.log", folder / "registry"
    own = {**_SETTINGS, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(data)}
    configuration = folder / "registry.yml"
    configuration.write_text(
        "version: 0.1\nstorage: {filesystem: {}, delete: {enabled: true}}\nhttp: {}\n"
    )
    # It must not outlive us, however we end; Ctrl-C is for the program that uses it.
    command = ["setpriv", "--pdeathsig", "KILL", str(binary), "serve", str(configuration)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **own, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield _address(process, log)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        found = _LISTENING.search(log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.02)
    raise InfrastructureError("The registry did not start.", detail=log.read_text(errors="replace"))
