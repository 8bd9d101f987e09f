"""The stack of `compose.yaml`, brought up for one run of the DAG, and what its driver found."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import dagger

from ci.compose import Compose
from ci.compose.services import STACK_FOLDER, Bringup, services, with_volumes
from ci.compose.types import Condition
from ci.configuration import configuration
from ci.containers import built
from ci.errors import BrewlineError, CheckFailed, InfrastructureError, UpstreamDown, UsageError
from ci.stage import Context, Ran

COMPOSE_FILE = "compose.yaml"
DRIVER = "tests/integration/*.py"
# The source that comes up with the stack, by the profile `test`.
SOURCE = "brewery-api"
API = f"http://{SOURCE}:8000"
_UI, _UI_PORT = "api-server", 8080
_DAG = "brewery_pipeline"
# The user of the image: what it shares with others in volumes is its own.
_OWNER = "50000:0"
_OUT = "/tmp/out"
_TIME_LIMIT_SECONDS = 20 * 60

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
    remembers it, nothing is started.
    """
    product = await built(context)
    bringup = Bringup(
        client=context.client,
        key=key,
        token=context.client.set_secret(f"brewline-stack-{key}", token),
        owner=_OWNER,
        bind=_bind(context),
        build=lambda _: product,
    )
    driver = (
        product.with_mounted_directory("/driver", context.source(DRIVER))
        .with_workdir("/driver")
        .with_(bringup.joined)
        .with_(with_volumes(compose.services["scheduler"], bringup))
        # There also when the driver cannot even start.
        .with_directory(_OUT, context.client.directory(), owner=_OWNER)
    )
    for name, value in _driver_environment(context, compose, key).items():
        driver = driver.with_env_variable(name, value)
    stack = await services(compose, bringup)
    for name, service in stack.items():
        driver = driver.with_service_binding(name, service)
    command = ["python", "-m", "tests.integration"]
    done = driver.with_exec(command, expect=dagger.ReturnType.ANY)
    status = await done.exit_code()
    context.ran.append(Ran(container=done, command=tuple(command), exit_code=status))
    await done.directory(_OUT).export(str(context.report), wipe=True)
    _write(context.report / "configuration.json", configuration(compose))
    verdict = _read_verdict(context, status)
    if context.keep:
        await _keep(context, compose, stack, verdict)
    return verdict


async def _keep(
    context: Context,
    compose: Compose,
    stack: Mapping[str, dagger.Service],
    verdict: Mapping[str, Any],
) -> None:
    """Keep the stack up, its UI on loopback, until its user ends the run."""
    context.say("passed" if verdict["passed"] else str(verdict["failure"]["message"]))
    jobs = _jobs(compose)
    async with anyio.create_task_group() as group:
        for name, service in stack.items():
            if name not in jobs:
                group.start_soon(service.start)
    password = compose.services[_UI].environment["ADMIN_PASSWORD"]
    context.say(
        f"the stack is up: http://localhost:{_UI_PORT}, user admin, password {password};"
        " Ctrl-C ends it"
    )
    await stack[_UI].up(ports=[dagger.PortForward(backend=_UI_PORT, frontend=_UI_PORT)])


def _bind(context: Context) -> Callable[[str], dagger.Directory | dagger.File]:
    def bind(source: str) -> dagger.Directory | dagger.File:
        path = (context.root / source).resolve()
        if not path.is_relative_to(context.root):
            return context.client.host().file(str(path))
        relative = str(path.relative_to(context.root))
        if path.is_file():
            return context.source(relative).file(relative)
        return context.source(f"{relative}/**/*.py").directory(relative)

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
        "BREWLINE_AIRFLOW": f"http://{_UI}:{_UI_PORT}",
        "BREWLINE_PASSWORD": compose.services[_UI].environment["ADMIN_PASSWORD"],
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
    jobs = _jobs(compose)
    return json.dumps(
        [
            {
                "name": service.name,
                "job": service.name in jobs,
                "healthcheck": service.healthcheck is not None,
                "source": service.name == SOURCE,
            }
            for service in compose.services.values()
        ]
    )


def _jobs(compose: Compose) -> set[str]:
    """The services that another waits for to complete."""
    return {
        dependency.service
        for service in compose.services.values()
        for dependency in service.depends_on
        if dependency.condition is Condition.COMPLETED
    }


def _rows(path: Path) -> int:
    """Rows that the file holds, as the CSV reader counts them: a field may have line breaks."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            return sum(1 for _ in csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"BREWERY_CSV names {path}, which is no CSV in UTF-8: {error}.") from error


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _read_verdict(context: Context, status: int) -> dict[str, Any]:
    path = context.report / "verdict.json"
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise InfrastructureError(
            f"The integration driver ended with status {status} and left no verdict."
        ) from error


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
