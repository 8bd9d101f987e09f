"""The stack of `compose.yaml`, brought up for one run of the DAG, and what its driver found."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from contextlib import suppress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagger

from ci.compose import Compose
from ci.compose.services import STACK_FOLDER, Bringup, services, with_volumes
from ci.configuration import configuration
from ci.containers import built
from ci.errors import BrewlineError, CheckFailed, InfrastructureError, UpstreamDown, UsageError
from ci.keeping import UI, UI_PORT, keep, require_free
from ci.stage import Context, Ran

COMPOSE_FILE = "compose.yaml"
DRIVER = "tests/integration/*.py"
# The source that comes up with the stack, by the profile `test`.
SOURCE = "brewery-api"
API = f"http://{SOURCE}:8000"
_DAG = "brewery_pipeline"
# The user of the image: what it shares with others in volumes is its own.
_OWNER = "50000:0"
_OUT = "/tmp/out"
_TIME_LIMIT_SECONDS = 20 * 60

_SAID = "driver.txt"
_DRIVE = ("python", "-m", "tests.integration")
# Tells which bring-up this was, also where the driver cannot even start: one that is answered from
# memory is another.
_TOLD = 'printf %s "$STACK_RUN" | sha256sum | cut -c 1-64 >"$BREWLINE_OUT/run"; exec "$@"'

_ERRORS: Mapping[str, type[BrewlineError]] = {
    "code": CheckFailed,
    "infrastructure": InfrastructureError,
    "upstream": UpstreamDown,
}


def variables(context: Context, api: str) -> dict[str, str]:
    """What a run sets in the compose file; nothing else of the caller's environment goes in."""
    values = {
        "BREWERY_API": api,
        # A manual run would wait for the scheduled one, which unpausing starts.
        "BREWERY_SCHEDULE": "none",
        # Halves a short run, and costs too much of a core for anything but a test.
        "AIRFLOW_IDLE_SLEEP": "0.1",
    }
    if context.settings.brewery_csv:
        values["BREWERY_CSV"] = str(context.settings.brewery_csv)
    return values


async def drive(context: Context, compose: Compose, *, key: str, token: str) -> dict[str, Any]:
    """One run of the driver against the stack; its verdict, its files being in the report.

    The driver is the only exec, and services are started for it and end with it: where the engine
    remembers it, nothing is started, and the verdict is not `fresh`.
    """
    if context.keep:
        require_free(UI_PORT)
    product = await built(context)
    bringup = Bringup(
        client=context.client,
        key=key,
        token=context.client.set_secret(f"brewline-stack-{key}", token),
        owner=_OWNER,
        bind=_bind(context),
        build=lambda _: product,
    )
    stack = await services(compose, bringup)
    driver = _driver(context, compose, bringup, product)
    for name, service in stack.items():
        driver = driver.with_service_binding(name, service)
    _empty(context.report)
    told = json.dumps(configuration(compose), indent=2)
    (context.report / "configuration.json").write_text(f"{told}\n")
    done = driver.with_exec(["sh", "-c", _TOLD, "sh", *_DRIVE], expect=dagger.ReturnType.ANY)
    verdict = await _verdict(context, done, token)
    if context.keep:
        await keep(context, compose, stack, verdict)
    return verdict


def _driver(
    context: Context, compose: Compose, bringup: Bringup, product: dagger.Container
) -> dagger.Container:
    driver = (
        product.with_mounted_directory("/driver", context.source(DRIVER))
        .with_workdir("/driver")
        .with_(bringup.joined)
        .with_(with_volumes(compose.services["scheduler"], bringup))
        # There also when the driver cannot even start.
        .with_directory(_OUT, context.client.directory(), owner=_OWNER)
    )
    for name, value in _driver_environment(context, compose, bringup.key).items():
        driver = driver.with_env_variable(name, value)
    return driver


async def _verdict(context: Context, done: dagger.Container, token: str) -> dict[str, Any]:
    """What the driver found, and whether it did so for us; its files are in the report."""
    status = await done.exit_code()
    context.ran.append(Ran(container=done, command=_DRIVE, exit_code=status))
    await done.directory(_OUT).export(str(context.report))
    verdict = _read_verdict(context.report, status, await done.stderr())
    ours = hashlib.sha256(token.encode()).hexdigest()
    verdict["fresh"] = _told(context.report / "run") in ("", ours)
    return verdict


def _told(file: Path) -> str:
    """The bring-up that a file names; on a full disk it names none, and then it was this one."""
    with suppress(FileNotFoundError):
        told = file.read_text().strip()
        file.unlink()
        return told
    return ""


def _empty(folder: Path) -> None:
    """Take what an earlier attempt left out of the report of this one."""
    shutil.rmtree(folder)
    folder.mkdir()


def _bind(context: Context) -> Callable[[str], dagger.Directory | dagger.File]:
    def bind(source: str) -> dagger.Directory | dagger.File:
        path = (context.root / source).resolve()
        if not path.is_relative_to(context.root):
            host = context.client.host()
            return host.directory(str(path)) if path.is_dir() else host.file(str(path))
        relative = str(path.relative_to(context.root))
        if path.is_file():
            return context.source(relative).file(relative)
        return context.source(f"{relative}/**").directory(relative)

    return bind


def _driver_environment(context: Context, compose: Compose, key: str) -> dict[str, str]:
    scheduler = compose.services["scheduler"].environment
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        # For a lake in an object store: the driver reads it as the tasks write it.
        **{name: value for name, value in scheduler.items() if name.startswith("AWS_")},
        "BREWLINE_STACK": _components(compose),
        "BREWLINE_STACK_FOLDER": STACK_FOLDER,
        "BREWLINE_OUT": _OUT,
        "BREWLINE_LOGS": "/opt/airflow/logs",
        "BREWLINE_LAKE": scheduler["BREWERY_LAKE"],
        "BREWLINE_AIRFLOW": f"http://{UI}:{UI_PORT}",
        "BREWLINE_PASSWORD": compose.services[UI].environment["ADMIN_PASSWORD"],
        "BREWLINE_API": scheduler["BREWERY_API"],
        "BREWLINE_DAG": _DAG,
        "BREWLINE_RUN_ID": f"run-{key}",
        "BREWLINE_TIME_LIMIT": str(_TIME_LIMIT_SECONDS),
    }
    if context.settings.brewery_csv and SOURCE in compose.services:
        environment["BREWLINE_ROWS"] = str(_rows(context.settings.brewery_csv))
    return environment


def _components(compose: Compose) -> str:
    """The services for the driver."""
    return json.dumps(
        [
            {
                "name": service.name,
                "job": service.name in compose.jobs,
                "healthcheck": service.healthcheck is not None,
                "source": service.name == SOURCE,
            }
            for service in compose.services.values()
        ]
    )


def _rows(path: Path) -> int:
    """Rows that the file holds, as the CSV reader counts them: a field may have line breaks."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            return sum(1 for _ in csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"BREWERY_CSV names {path}, which is no CSV in UTF-8: {error}.") from error


def _read_verdict(report: Path, status: int, said: str) -> dict[str, Any]:
    """What the driver found; one that ended otherwise than it wrote, or wrote nothing, failed."""
    try:
        verdict = dict(json.loads((report / "verdict.json").read_text()))
        if verdict["passed"] == (status == 0):
            return verdict
    except (OSError, ValueError):
        pass
    (report / _SAID).write_text(said)
    message = f"The integration driver ended with status {status} and left no verdict."
    lines = said.strip().splitlines()[-12:]
    # Of a traceback Python makes a 1; other numbers are of signals and of what could not start.
    cause = "code" if status == 1 else "infrastructure"
    failed = {"class": cause, "message": message, "log": _SAID, "lines": lines}
    return {"passed": False, "failure": failed}


def failure(context: Context, failed: Mapping[str, Any]) -> BrewlineError:
    """What a driver found out about a failure, as an error."""
    log = context.report / (failed["log"] or "verdict.json")
    detail = "\n".join(failed["lines"])
    return _ERRORS[failed["class"]](failed["message"], detail=detail, log=log)


def spent(verdict: Mapping[str, Any], seconds: float) -> str:
    """Where the seconds of a run went: the stack's own start, the DAG run, and all else."""
    start, run = verdict["steps"]["start"], verdict["steps"]["run"]
    rest = max(seconds - start - run, 0)
    return f"stack up in {start:.1f} s, DAG run of {run:.1f} s, all else {rest:.1f} s"
