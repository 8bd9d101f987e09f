"""Compose files that are not ours, truly started: as services of the embedded engine."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from textwrap import dedent

import dagger
import pytest

from ci.compose import read_compose
from ci.compose.services import STACK_FOLDER, Bringup, services
from ci.compose.types import Build
from tests.engine.connection import connected, launcher

PYTHON = "python:3.11-slim-bookworm"
# Waits for marks of the stack and prints all of them, by their names.
WAIT = """
import json, os, pathlib, sys, time
marks, wanted = pathlib.Path("/stack", os.environ["STACK_RUN"]), sys.argv[1:]
deadline = time.monotonic() + 90
while time.monotonic() < deadline and not all((marks / name).exists() for name in wanted):
    time.sleep(0.02)
print(json.dumps({p.name: p.read_text() for p in marks.iterdir() if p.is_file()}))
"""
BringUp = Callable[..., Awaitable[dict[str, str]]]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The one event loop of the module's client."""
    return "asyncio"


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dagger.Client]:
    """A client of the embedded engine."""
    async with connected(launcher(tmp_path_factory.mktemp("engine"))) as client:
        yield client


@pytest.fixture
def bring_up(client: dagger.Client, tmp_path: Path) -> BringUp:
    """Start the stack of a text, wait for marks, and give all marks and logs of its services."""

    async def started(text: str, *marks: str, **environ: str) -> dict[str, str]:
        (tmp_path / "compose.yaml").write_text(dedent(text))
        compose = read_compose(tmp_path / "compose.yaml", environ)
        key = secrets.token_hex(8)
        here = client.host().directory(str(tmp_path))

        def bind(source: str) -> dagger.Directory | dagger.File:
            path = str(Path(source))
            return here.file(path) if (tmp_path / source).is_file() else here.directory(path)

        def build(wanted: Build) -> dagger.Container:
            arguments = [dagger.BuildArg(name=n, value=v) for n, v in wanted.arguments.items()]
            return here.directory(wanted.context).docker_build(
                dockerfile=wanted.dockerfile, target=wanted.target, build_args=arguments
            )

        bringup = Bringup(
            client=client,
            key=key,
            token=client.set_secret(f"token-{key}", key),
            owner="0:0",
            bind=bind,
            build=build,
        )
        watcher = client.container().from_(PYTHON).with_(bringup.joined)
        for name, service in (await services(compose, bringup)).items():
            watcher = watcher.with_service_binding(name, service)
        done = watcher.with_exec(["python", "-c", WAIT, *marks])
        assert STACK_FOLDER == "/stack"
        return {name: text.strip() for name, text in json.loads(await done.stdout()).items()}

    return started


async def test_a_web_service_starts_after_its_database_and_its_jobs(bring_up: BringUp) -> None:
    marks = await bring_up(
        """
        services:
          web:
            image: python:3.11-slim-bookworm
            user: nobody
            working_dir: /srv
            environment: {GREETING: "${GREETING}"}
            command: sh -c 'pwd; id -un; echo $$GREETING; exec python -m http.server 8000'
            depends_on: {migrate: {condition: service_completed_successfully}}
            container_name: shop.internal
            healthcheck:
              test: python -c "import socket; socket.create_connection(('localhost', 8000))"
              start_period: 30s
              start_interval: 50ms
          user:
            image: python:3.11-slim-bookworm
            command:
              - python
              - -c
              - |
                from urllib.request import urlopen
                print(urlopen("http://shop.internal:8000").status)
            depends_on: {web: {condition: service_healthy}}
          migrate:
            image: postgres:15-bookworm
            entrypoint: [psql, postgresql://shop:x@database/shop, -tAc]
            command: ["select 'asked by ' || current_user"]
            depends_on: {db: {condition: service_healthy}}
          db:
            image: postgres:15-bookworm
            environment: [POSTGRES_USER=shop, POSTGRES_PASSWORD=x, POSTGRES_INITDB_ARGS=--no-sync]
            command: postgres -c fsync=off
            networks: {default: {aliases: [database]}}
            healthcheck:
              test: pg_isready --host=127.0.0.1 --username=shop
              start_period: 60s
              start_interval: 100ms
        """,
        "user.exit",
        GREETING="hello there",
    )
    assert marks["migrate.log"] == "asked by shop"
    assert marks["web.log"].splitlines()[:3] == ["/srv", "nobody", "hello there"]
    assert (marks["user.exit"], marks["user.log"]) == ("0", "200")
    assert {"db.healthy", "web.healthy", "web.started"} <= marks.keys()


async def test_mounts_and_files_are_what_the_file_says(bring_up: BringUp, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/main.py").write_text("print('bound')\n")
    (tmp_path / "app/Dockerfile").write_text(
        "FROM python:3.11-slim-bookworm\nARG SAID\n"
        "RUN mkdir -p /app/deps && echo $SAID >/app/deps/one\n"
    )
    (tmp_path / "app.ini").write_text("key = $value\n")
    marks = await bring_up(
        """
        services:
          first:
            build: {context: app, args: {SAID: by the image}}
            command:
              - sh
              - -c
              - |
                python /app/main.py; cat /app/deps/one; cat /app.ini
                stat -c '%a %u:%g' /run/secrets/token; cat /run/secrets/token; echo
                stat -f -c %T /scratch; echo kept >/shared/file
                touch /app/main.py 2>/dev/null || echo read-only
            volumes: ["./app:/app:ro", /app/deps, shared:/shared]
            tmpfs: /scratch:size=1m
            configs: [app.ini]
            secrets: [{source: token, uid: "1000", mode: 0440}]
          second:
            image: python:3.11-slim-bookworm
            command: [cat, /shared/file]
            volumes: [{type: volume, source: shared, target: /shared, read_only: true}]
            depends_on: {first: {condition: service_completed_successfully}}
        volumes: {shared: }
        configs: {app.ini: {file: app.ini}}
        secrets: {token: {environment: TOKEN}}
        """,
        "second.exit",
        TOKEN="between us",
    )
    assert marks["first.log"].splitlines() == [
        "bound",
        "by the image",
        "key = $value",
        "440 1000:0",
        "between us",
        "tmpfs",
        "read-only",
    ]
    assert (marks["second.exit"], marks["second.log"]) == ("0", "kept")


async def test_what_waits_for_a_service_that_died_does_not_start(bring_up: BringUp) -> None:
    marks = await bring_up(
        """
        services:
          db:
            image: python:3.11-slim-bookworm
            command: sh -c 'echo no space left; exit 3'
            healthcheck: {test: "false", start_period: 60s, start_interval: 1s}
          alone: &echo {image: "python:3.11-slim-bookworm", command: echo}
          job: {<<: *echo, depends_on: {db: {condition: service_healthy}}}
          web: {<<: *echo, depends_on: {job: {condition: service_completed_successfully}}}
        """,
        "web.blocked",
        "alone.exit",
    )
    assert (marks["db.exit"], marks["db.log"]) == ("3", "no space left")
    assert marks["job.blocked"] == "db ended with status 3"
    assert marks["web.blocked"] == "job did not start"
    assert marks["alone.exit"] == "0"
