"""Beyond one machine: the Celery executor, two workers, and a lake in an object store."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import dagger
import pytest

from ci.compose import Compose, read_compose
from ci.settings import Settings
from ci.source import Git
from ci.stage import Context
from ci.stack import drive
from tests.images.session import embedded_session

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "AIRFLOW_EXECUTOR": "CeleryExecutor",
    "AIRFLOW_IDLE_SLEEP": "0.1",
    "AWS_ACCESS_KEY_ID": "for-tests-only",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://s3:5000",
    "AWS_SECRET_ACCESS_KEY": "for-tests-only",
    "BREWERY_API": "http://brewery-api:8000",
    "BREWERY_LAKE": "s3://brewery/lake",
    "BREWERY_SCHEDULE": "none",
}


def stack() -> Compose:
    return read_compose(ROOT / "compose.yaml", VARIABLES, profiles=["test", "celery", "s3"])


def run(folder: Path) -> dict[str, Any]:
    """One run of the DAG in the stack, as the integration stage makes it; its verdict."""

    async def bring_up(client: dagger.Client) -> dict[str, Any]:
        report = folder / "report"
        report.mkdir()
        context = Context(
            client=client,
            root=ROOT,
            git=Git(commit=None, branch=None, changed="file"),
            settings=Settings.from_environment({}),
            reports=folder,
            report=report,
            say=print,
            tell=print,
        )
        key = secrets.token_hex(8)
        return await drive(context, stack(), key=key, token=secrets.token_hex(16))

    with embedded_session(folder) as ask:
        return dict(ask(bring_up))


def test_workers_share_nothing_but_the_lake() -> None:
    services = stack().services
    assert services["worker-1"].mounts == services["worker-2"].mounts == ()
    assert services["worker-1"].environment["BREWERY_LAKE"].startswith("s3://")


def test_two_workers_make_one_lake_in_an_object_store(tmp_path: Path) -> None:
    verdict = run(tmp_path)
    assert verdict["passed"], json.dumps(verdict, indent=1)
    assert verdict["lake"]["bronze_rows"] == verdict["expected_rows"] > 10_000
    assert verdict["lake"]["problems"] == []
    assert len({task["hostname"] for task in verdict["tasks"]}) == 2
