"""Security: Trivy over what is written here and what ships, Bandit over the Python, as SARIF."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagger

from ci import execs
from ci.containers import SOURCE, development, fresh, image
from ci.errors import CheckFailed, InfrastructureError
from ci.execs import REPORTS, Check, Checked
from ci.sarif import Finding, SarifError, findings, grave, identified
from ci.stage import Context, Result

TRIVY_IMAGE = "aquasec/trivy:0.76.0"  # noqa: E501 - a pin is as long as it is

# Python that runs somewhere; tests may assert and hold made-up passwords.
CODE = ("ci", "dags", "engine", "pipeline")

# A secret can stand in any file, so this takes in more than the other stages do.
WRITTEN = (
    *(f"{folder}/**/*.py" for folder in (*CODE, "benchmarks", "tests")),
    *(f"{folder}/**" for folder in (".ci", ".github", "deploy", "docs", "images", "requirements")),
    *("*.md", "*.toml", ".dockerignore", ".pre-commit-config.yaml", "Dockerfile", "compose.yaml"),
)

NO_DATABASE = "not scanned for vulnerabilities: database not reachable"

_ROOTFS = "/rootfs"
_CACHE = "/var/cache/trivy"

MISCONFIGURATIONS = Check(
    name="trivy",
    command=(
        *("trivy", "filesystem", "--scanners", "misconfig,secret", "--offline-scan"),
        # The checks inside the scanner are of its own release: there is nothing to download.
        *("--skip-db-update", "--skip-check-update"),
        # A stand-in runs as root where the image that it stands for does.
        *("--skip-files", "images/*/Dockerfile"),
        *("--format", "sarif", "--output", f"{REPORTS}/trivy.sarif", "."),
    ),
)
DANGEROUS_CODE = Check(
    name="bandit",
    command=(
        *("bandit", "--quiet", "--recursive", *CODE),
        *("--exit-zero", "--format", "sarif", "--output", f"{REPORTS}/bandit.sarif"),
    ),
)
VULNERABILITIES = Check(
    name="trivy-image",
    command=(
        *("trivy", "rootfs", "--scanners", "vuln", "--ignore-unfixed", "--cache-dir", _CACHE),
        *("--format", "sarif", "--output", f"{REPORTS}/trivy-image.sarif", _ROOTFS),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What one scan came to; `findings` is None where it could not be done here."""

    findings: tuple[Finding, ...] | None
    cached: bool


async def run(context: Context) -> Result:
    """Pass unless something of HIGH or CRITICAL was found; everything found is in the report."""
    outcomes = await asyncio.gather(
        _written(context), _code(context), _shipped(context), return_exceptions=True
    )
    return judge(outcomes, context.report / "findings.txt")


def judge(outcomes: Sequence[Scanned | BaseException], log: Path) -> Result:
    """The stage's result; every finding goes to `log`, one a line, the gravest first.

    Raises CheckFailed for findings at HIGH or CRITICAL, else what a scanner raised.
    """
    scanned = [outcome for outcome in outcomes if isinstance(outcome, Scanned)]
    broken = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    found = [finding for scan in scanned for finding in scan.findings or ()]
    found.sort(key=lambda finding: not finding.grave)
    log.write_text("".join(f"{finding}\n" for finding in found))
    reason = summary(found, complete=all(scan.findings is not None for scan in scanned))
    if bad := grave(found):
        # These go before a scanner that broke: they will be there in the next run too.
        raise CheckFailed(f"{reason}.", detail="\n".join(map(str, (*bad, *broken))), log=log)
    for error in broken:
        raise error
    # The last scan is made anew each time, and says nothing of whether anything changed.
    return Result(reason=reason, cached=all(scan.cached for scan in scanned[:-1]))


def summary(found: Sequence[Finding], *, complete: bool) -> str:
    """What was found, and what was not looked for."""
    bad = len(grave(found))
    parts = []
    if bad:
        parts.append(f"{bad} finding{'s' if bad > 1 else ''} at HIGH or CRITICAL")
    if len(found) > bad:
        parts.append(f"{len(found) - bad} below HIGH")
    counted = ", ".join(parts) or "nothing found"
    return counted if complete else f"{counted}; {NO_DATABASE}"


def read(checked: Checked, sarif: Path) -> Scanned:
    """What a scanner that ended well found.

    Raises InfrastructureError where it broke or wrote nothing that can be read.
    """
    if checked.exit_code != 0:
        raise InfrastructureError(
            f"{checked.name} broke with exit code {checked.exit_code}.",
            detail="\n".join(checked.output.splitlines()[-20:]),
            log=checked.log,
        )
    try:
        text = identified(sarif.read_text(), checked.name)
        sarif.write_text(text)
        found = findings(text)
    except (SarifError, OSError) as error:
        message = f"{checked.name} wrote no report that can be read: {error}."
        raise InfrastructureError(message, log=checked.log) from error
    return Scanned(findings=found, cached=checked.cached)


async def _written(context: Context) -> Scanned:
    """Misconfigurations and secrets in what stands in the repository."""
    container = trivy(context).with_directory(SOURCE, context.source(*WRITTEN))
    return await _scan(context, container.with_workdir(SOURCE), MISCONFIGURATIONS)


async def _code(context: Context) -> Scanned:
    """Dangerous use of Python."""
    source = context.source(*(f"{folder}/**/*.py" for folder in CODE))
    return await _scan(context, development(context).with_directory(SOURCE, source), DANGEROUS_CODE)


async def _shipped(context: Context) -> Scanned:
    """Known vulnerabilities in the image, where Trivy's database can be had."""
    container = (
        trivy(context)
        .with_mounted_directory(_ROOTFS, image(context).rootfs())
        .with_mounted_cache(_CACHE, context.client.cache_volume("brewline-trivy"))
        # They become known while nothing changes here: this scan alone is never remembered.
        .with_env_variable("BREWLINE_NONCE", secrets.token_hex(8))
    )
    checked = await execs.run(context, container, VULNERABILITIES)
    if checked.exit_code != 0 and "DB error" in checked.output:
        return unscanned(context, checked.log)
    return read(checked, context.report / f"{checked.name}.sarif")


def unscanned(context: Context, log: Path) -> Scanned:
    """What becomes of an image without a database to scan it by: it may stay on this machine.

    Raises InfrastructureError where it was published to others, so that it is not promoted.
    """
    destination = context.settings.destination
    if destination and not destination.loopback:
        raise InfrastructureError(
            "Trivy's database cannot be had, and an image that was not scanned for vulnerabilities "
            "is not promoted: let this machine reach the database, then run again.",
            log=log,
        )
    context.say(NO_DATABASE)
    return Scanned(findings=None, cached=False)


async def _scan(context: Context, container: dagger.Container, check: Check) -> Scanned:
    checked = await execs.run(context, container, check)
    return read(checked, context.report / f"{check.name}.sarif")


def trivy(context: Context) -> dagger.Container:
    """The scanner."""
    return context.client.container().from_(TRIVY_IMAGE).with_(fresh(context))
