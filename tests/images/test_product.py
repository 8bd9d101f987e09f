"""What the product's image promises, asked of the image itself and of a registry that holds it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagger
import pytest

from ci import registry
from ci.containers import PYTHON_IMAGE
from ci.publishing.access import ask as ask_registry
from ci.publishing.destination import Destination
from ci.source import Git
from ci.versions import read_version
from engine.registry.repository import Repository
from tests.ci.publishing import COMMIT, OURS
from tests.ci.publishing.proxy import Handler
from tests.ci.publishing.proxy import running as proxy
from tests.images.product import OURS_IN_IT, Session, begun, checkout
from tests.images.recipes import ROOT

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="the embedded engine needs root"),
]

MB = 1_000_000


@dataclass(frozen=True)
class Pushed:
    """The image in a registry: its address there, manifest and configuration."""

    where: Destination
    manifest: dict[str, Any]
    config: dict[str, Any]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("product")
    with begun(folder, checkout(folder / "tree")) as session:
        yield session


@pytest.fixture(scope="module")
def pushed(
    session: Session, registry_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pushed]:
    with registry.running(registry_program, tmp_path_factory.mktemp("registry")) as address:
        where = Destination(repository=f"{address}/our/product")
        session.ask(lambda client: session.image(client).publish(where.tagged("one")))

        def read(repository: Repository) -> tuple[dict[str, Any], dict[str, Any]]:
            manifest = json.loads(repository.manifest("one").data)
            return manifest, json.loads(repository.small_blob(manifest["config"]["digest"]))

        async def documents(_: dagger.Client) -> tuple[dict[str, Any], dict[str, Any]]:
            return await ask_registry(where, read)

        yield Pushed(where, *session.ask(documents))


def test_it_takes_at_most_900_mb_unpacked_and_300_mb_in_a_registry(
    session: Session, pushed: Pushed
) -> None:
    unpacked = int(session.shell("du -sxb --exclude=/proc --exclude=/sys / | cut -f1", user="root"))
    compressed = sum(layer["size"] for layer in pushed.manifest["layers"])
    assert 0 < unpacked <= 900 * MB
    assert 0 < compressed <= 300 * MB


def test_its_labels_say_what_it_is_and_what_it_was_made_of(
    session: Session, pushed: Pushed
) -> None:
    name = "org.opencontainers.image"
    labels = {key: value for key, value in pushed.config["config"]["Labels"].items() if name in key}
    assert labels == {
        f"{name}.title": "brewline",
        f"{name}.description": labels[f"{name}.description"],
        f"{name}.licenses": "Apache-2.0",
        f"{name}.source": OURS,
        f"{name}.version": read_version(ROOT),
        f"{name}.revision": COMMIT,
        f"{name}.created": "2023-11-14T22:13:20Z",
    }


def test_it_has_no_label_for_what_nobody_knows(session: Session) -> None:
    nothing = Git(commit=None, branch=None)

    async def labels(client: dagger.Client) -> set[str]:
        return {await each.name() for each in await session.image(client, nothing, "").labels()}

    known = {name.rpartition(".")[2] for name in session.ask(labels) if "opencontainers" in name}
    assert known == {"title", "description", "licenses", "version"}


def test_it_runs_as_an_ordinary_user_below_an_init_and_says_how_it_does(pushed: Pushed) -> None:
    config = pushed.config["config"]
    assert config["User"] == "50000:0"
    assert config["Entrypoint"][0] == "dumb-init"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Healthcheck"]["Interval"] > 0


@pytest.mark.parametrize("user", ["50000:0", "1234567:0"])
def test_it_runs_as_any_user_of_group_0(session: Session, user: str) -> None:
    script = "touch ~/a /opt/airflow/logs/a /opt/airflow/lake/a; id -u; airflow version"
    uid, version = session.shell(script, user=user).splitlines()
    assert uid == user.partition(":")[0]
    assert version.startswith("3.")


def test_it_runs_on_a_root_file_system_that_cannot_be_written(session: Session) -> None:
    script = """
mount -o remount,ro,bind / 2>/dev/null || mount -o remount,ro /
! touch /opt/venv/a 2>/dev/null
exec setpriv --reuid 50000 --regid 0 --clear-groups --bounding-set -all \
    sh -euc 'touch /tmp/a; airflow version; python -c "import pipeline, airflow.sdk"'
"""

    async def question(client: dagger.Client) -> str:
        container = session.image(client).with_user("root")
        for place in ("/tmp", "/home/airflow", "/opt/airflow"):  # nosec B108 - in the container
            container = container.with_mounted_temp(place)
        command = ["sh", "-euc", "chmod 1777 /tmp /home/airflow /opt/airflow\n" + script]
        return await container.with_exec(command, insecure_root_capabilities=True).stdout()

    assert session.ask(question).startswith("3.")


def test_it_looks_for_cyclic_garbage_seldom(session: Session) -> None:
    # A seventh of the stack's start.
    assert session.shell("python -c 'import gc; print(gc.get_threshold()[0])'") == "50000"


def test_a_signal_ends_a_command_that_has_no_handler_for_it(session: Session) -> None:
    # As the first process of its container it would not hear of it. An engine may have a first
    # process of its own, so that the image's is made one here.
    alone = 'unshare --pid --fork -- "$@" || echo $?'

    async def ended(client: dagger.Client) -> str:
        made = session.image(client).with_user("root")
        own = await session.image(client).entrypoint()
        command = ["sh", "-c", alone, "sh", *own, "sh", "-c", "kill -TERM 1; sleep 20"]
        return await made.with_exec(command, insecure_root_capabilities=True).stdout()

    assert session.ask(ended) == f"{128 + signal.SIGTERM}\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            "for tool in cc gcc g++ clang ld as make; do command -v $tool || :; done",
            id="compilers",
        ),
        pytest.param("for tool in pip pip3 uv; do command -v $tool || :; done", id="installers"),
        pytest.param("find / -xdev -path '*/.cache/*'", id="caches"),
        pytest.param(
            "ls -A /tmp /root/.cache /var/lib/apt/lists 2>/dev/null | grep -v : || :", id="leavings"
        ),
    ],
)
def test_nothing_that_only_a_build_needs_is_left_in_it(session: Session, script: str) -> None:
    assert session.shell(script, user="root").strip() == ""


def test_it_gives_nobody_more_rights_than_the_image_below_it(session: Session) -> None:
    script = (
        "find / -xdev -type f -perm /6000 | sort; find / -xdev -perm -2 ! -type l ! -perm -1000"
    )
    assert session.shell(script, user="root") == session.shell(script, of=PYTHON_IMAGE)


@pytest.mark.parametrize("folder", OURS_IN_IT)
def test_a_changed_line_builds_and_pushes_little(
    session: Session, pushed: Pushed, folder: str, tmp_path: Path
) -> None:
    changed = sorted((session.tree / folder).glob("*.py"))[-1]
    changed.write_text(f"{changed.read_text()}\n# A line of {tmp_path}.\n")
    sent = []

    def weigh(handler: Handler) -> bool:
        sent.append(int(handler.headers.get("Content-Length") or 0))
        return False

    with begun(tmp_path, session.tree) as later, proxy(pushed.where.host) as front:
        front.misdeed = weigh
        there = f"{front.address}/our/product:{folder}"
        later.ask(lambda client: later.image(client).publish(there))
        (ran,) = later.ran()
    assert "compileall" in ran and "/opt/brewline" in ran
    assert 0 < sum(sent) < 2 * MB
