"""Installs a hashed lock file into an environment: with uv where it is, else with pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from ci.errors import InfrastructureError

_SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_WHEEL_FOLDERS = (
    Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled",
    Path("/usr/share/python-wheels"),
)

# What uv, pip and the kernel say, and what the reader can do about it.
_CURES = (
    (r"No space left on device|os error 28", "the disk is full: make room and try again"),
    (r"(?i:hash mismatch)|DO NOT MATCH THE HASHES", "a package does not match its hash"),
    (
        r"CERTIFICATE_VERIFY_FAILED|UnknownIssuer|invalid peer certificate",
        "the package index's certificate is not trusted: set SSL_CERT_FILE to your CA bundle",
    ),
    (
        r"error sending request|dns error|Failed to fetch|Could not connect|Network is unreachable"
        r"|Name or service not known|name resolution|Connection refused|from versions: none"
        r"|NewConnectionError|timed out|ConnectTimeout",
        "the package index does not answer: check the network, or PIP_INDEX_URL and the proxy",
    ),
)


def install(lock_file: Path, python: Path, environ: Mapping[str, str]) -> None:
    """Install all of `lock_file` for `python`; raises InfrastructureError with the cause."""
    # The file is complete: to resolve it anew takes time, and pip gives up where it names an extra.
    complete = ("--no-deps", "--require-hashes", "-r", str(lock_file))
    command = [*_tool(python, environ), *complete]
    done = subprocess.run(
        command,
        env=_with_certificates(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InfrastructureError(f"Cannot install {lock_file.name}: {explain(done.stdout)}.")


def explain(output: str) -> str:
    """The cause in an installer's output, or else its last line."""
    for pattern, cure in _CURES:
        if re.search(pattern, output):
            return cure
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "the installer said nothing"


def _tool(python: Path, environ: Mapping[str, str]) -> Sequence[str]:
    uv = shutil.which("uv", path=environ.get("PATH"))
    if uv and _answers([uv, "--version"]):  # a version manager's shim may stand for nothing
        return [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    return [*_pip(python, environ), "install", "--quiet", "--disable-pip-version-check"]


def _pip(python: Path, environ: Mapping[str, str]) -> Sequence[str]:
    """A pip for an environment that has none: a wheel run from its file, or another Python's."""
    for folder in _WHEEL_FOLDERS:
        for wheel in sorted(folder.glob("pip-*.whl"), reverse=True):
            return [str(python), f"{wheel}/pip"]
    base = [sys.executable, "-m", "pip"]
    if _answers([*base, "--version"]):
        return [*base, "--python", str(python)]
    pip = shutil.which("pip3", path=environ.get("PATH"))
    if pip and _answers([pip, "--version"]):
        return [pip, "--python", str(python)]
    raise InfrastructureError(
        "This Python has no pip to install the lock file with:"
        " run `apt-get install --yes python3-venv` (or install uv) and try again."
    )


def _answers(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _with_certificates(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which both tools trust what the machine trusts, a private CA included."""
    bundle = environ.get("SSL_CERT_FILE") or environ.get("PIP_CERT")
    if not bundle and os.access(_SYSTEM_CERTIFICATES, os.R_OK):
        bundle = str(_SYSTEM_CERTIFICATES)
    if not bundle:
        return dict(environ)
    return {"SSL_CERT_FILE": bundle, "PIP_CERT": bundle, **environ}
