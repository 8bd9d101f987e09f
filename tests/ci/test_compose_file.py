"""Compose files: how each key is read, and what is refused with file and line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from ci.compose import Compose, ComposeError, read_compose
from ci.compose.types import Build, Condition, Dependency, Healthcheck, Mount, MountKind, Port

ROOT = Path(__file__).parents[2]


def read(tmp_path: Path, text: str, *profiles: str, **environ: str) -> Compose:
    """The stack of a file that holds `text`."""
    path = tmp_path / "stack.yaml"
    path.write_text(dedent(text))
    return read_compose(path, environ, profiles=profiles)


def field(tmp_path: Path, lines: str, name: str, environ: Mapping[str, str] | None = None) -> Any:
    """One field of a service that has these lines and an image."""
    text = "volumes: {data: }\nservices:\n  web:\n    image: web:1\n"
    stack = read(tmp_path, text + indent(dedent(lines).strip(), "    "), **(environ or {}))
    return getattr(stack.services["web"], name)


@pytest.mark.parametrize(
    ("lines", "name", "expected"),
    [
        pytest.param("command: run --now 'two words'", "command", ("run", "--now", "two words")),
        pytest.param(
            """command: sh -c "a; b" '(c)' d\\;e *""",
            "command",
            ("sh", "-c", "a; b", "(c)", "d;e", "*"),
        ),
        pytest.param("command: [run, '--at', '5']", "command", ("run", "--at", "5")),
        pytest.param("command:", "command", None, id="a null command is the image's"),
        pytest.param("command: []", "command", (), id="an empty command is none"),
        pytest.param("entrypoint: /start.sh -x", "entrypoint", ("/start.sh", "-x")),
        pytest.param(
            "environment: {A: text, B: 5, C: true}", "environment", dict(A="text", B="5", C="true")
        ),
        pytest.param(
            "environment: {A: True, B: -2.5, C: 0.0001, D: 1.2.3, E: '017', F: 1:30, G: yes}",
            "environment",
            dict(A="true", B="-2.5", C="0.0001", D="1.2.3", E="017", F="1:30", G="yes"),
            id="what Compose writes as it is",
        ),
        pytest.param("environment: [A=1, B=x=y, C=]", "environment", dict(A="1", B="x=y", C="")),
        pytest.param(
            "environment: {HERE: , GONE: }", "environment", dict(HERE="h"), id="passed through"
        ),
        pytest.param(
            "environment: [HERE, GONE]", "environment", dict(HERE="h"), id="passed by list"
        ),
        pytest.param("environment: {A: '${HERE}-$$'}", "environment", dict(A="h-$")),
        pytest.param("user: '1000:0'", "user", "1000:0"),
        pytest.param("user: ${HERE}", "user", "h", id="a variable as user"),
        pytest.param("working_dir: /srv", "working_dir", "/srv"),
        pytest.param(
            "ports: ['8080:80', '127.0.0.1:1:81', '82', '83/udp', 84, "
            "'[::1]:1:85', '127.0.0.1::86']",
            "ports",
            (
                Port(target=80, published="8080"),
                Port(target=81, published="1", host_ip="127.0.0.1"),
                Port(target=82),
                Port(target=83, protocol="udp"),
                Port(target=84),
                Port(target=85, published="1", host_ip="::1"),
                Port(target=86, host_ip="127.0.0.1"),
            ),
        ),
        pytest.param(
            "ports: ['90-91:80-81', '9000-9010:82', '83-84']",
            "ports",
            (
                Port(target=80, published="90"),
                Port(target=81, published="91"),
                Port(target=82, published="9000-9010"),
                Port(target=83),
                Port(target=84),
            ),
            id="ranges of ports",
        ),
        pytest.param(
            "ports: [{target: 80, published: '8080', host_ip: '::1', protocol: udp, name: dns}]",
            "ports",
            (Port(target=80, published="8080", host_ip="::1", protocol="udp"),),
            id="long port",
        ),
        pytest.param(
            "ports: [22:22]", "ports", (Port(target=22, published="22"),), id="no base 60"
        ),
        pytest.param(
            "expose: ['80', 81, 82-83/udp]",
            "ports",
            (
                Port(target=80),
                Port(target=81),
                Port(target=82, protocol="udp"),
                Port(target=83, protocol="udp"),
            ),
        ),
        pytest.param("expose: ['80', 80, 80/tcp]", "ports", (Port(target=80),), id="once"),
        pytest.param(
            "volumes: ['data:/d']",
            "mounts",
            (Mount(kind=MountKind.NAMED, source="data", target="/d"),),
        ),
        pytest.param(
            "volumes: ['./x:/d:ro,cached']",
            "mounts",
            (Mount(kind=MountKind.BIND, source="./x", target="/d", read_only=True),),
        ),
        pytest.param(
            "volumes: [{type: bind, source: /a, target: /b, read_only: true}]",
            "mounts",
            (Mount(kind=MountKind.BIND, source="/a", target="/b", read_only=True),),
            id="long bind",
        ),
        pytest.param(
            "volumes: [{type: volume, source: data, target: /b}]",
            "mounts",
            (Mount(kind=MountKind.NAMED, source="data", target="/b"),),
            id="long volume",
        ),
        pytest.param(
            "volumes: [/d]",
            "mounts",
            (Mount(kind=MountKind.ANONYMOUS, target="/d"),),
            id="volume without a name",
        ),
        pytest.param(
            "volumes: [{type: volume, target: /d}]",
            "mounts",
            (Mount(kind=MountKind.ANONYMOUS, target="/d"),),
            id="long volume without a name",
        ),
        pytest.param(
            "volumes: [{type: tmpfs, target: /d, tmpfs: {size: 64m}}]",
            "mounts",
            (Mount(kind=MountKind.TMPFS, target="/d", size=64 << 20),),
            id="long tmpfs",
        ),
        pytest.param(
            "tmpfs: /run", "mounts", (Mount(kind=MountKind.TMPFS, target="/run"),), id="one tmpfs"
        ),
        pytest.param(
            "tmpfs: ['/a:size=1k,mode=1777', /b]",
            "mounts",
            (
                Mount(kind=MountKind.TMPFS, target="/a", size=1024),
                Mount(kind=MountKind.TMPFS, target="/b"),
            ),
            id="more tmpfs",
        ),
        pytest.param("build: ./app", "build", Build(context="./app")),
        pytest.param(
            "build: {context: ., dockerfile: D, target: t, args: {A: 1}}",
            "build",
            Build(context=".", dockerfile="D", target="t", arguments={"A": "1"}),
        ),
        pytest.param(
            "healthcheck: {test: [CMD, ready, -q]}",
            "healthcheck",
            Healthcheck(command=("ready", "-q")),
        ),
        pytest.param(
            "healthcheck: {test: ready | grep yes}",
            "healthcheck",
            Healthcheck(command=("sh", "-c", "ready | grep yes")),
        ),
        pytest.param(
            "healthcheck: {test: [CMD-SHELL, ready || exit 1]}",
            "healthcheck",
            Healthcheck(command=("sh", "-c", "ready || exit 1")),
        ),
        pytest.param(
            "healthcheck: {test: x, interval: 1m30s, timeout: .25s, retries: 7, start_period: 1d, "
            "start_interval: 1.5s}",
            "healthcheck",
            Healthcheck(
                command=("sh", "-c", "x"),
                interval=90,
                timeout=0.25,
                retries=7,
                start_period=86_400,
                start_interval=1.5,
            ),
        ),
        pytest.param(
            "healthcheck: {test: x, interval: 0s, retries: 0}",
            "healthcheck",
            Healthcheck(command=("sh", "-c", "x")),
            id="zero stands for the default",
        ),
        pytest.param("container_name: shop-web", "aliases", ("shop-web",)),
        pytest.param("networks: {default: {aliases: [a, b]}}", "aliases", ("a", "b")),
        pytest.param("networks: [default]", "aliases", (), id="no aliases"),
        pytest.param("healthcheck: {disable: true}", "healthcheck", None, id="disabled check"),
        pytest.param("healthcheck: {test: [NONE]}", "healthcheck", None, id="no check"),
        pytest.param(
            "restart: always\nlabels: [x]\nx-note: 5\ninit: true\nuser: a",
            "user",
            "a",
            id="no effect",
        ),
    ],
)
def test_a_key_is_read_in_each_of_its_forms(
    tmp_path: Path, lines: str, name: str, expected: Any
) -> None:
    assert field(tmp_path, lines, name, {"HERE": "h"}) == expected


def test_anchors_and_merge_keys_give_what_they_name_and_own_keys_win(tmp_path: Path) -> None:
    stack = read(
        tmp_path,
        """
        x-base: &base
          image: base:1
          environment: &env {A: base, B: base}
        services:
          one: *base
          two:
            <<: *base
            image: two:1
            environment: {<<: *env, B: own}
          three:
            <<: [*base, {user: me}]
        """,
    ).services
    assert stack["one"].image == "base:1"
    assert (stack["two"].image, stack["two"].environment) == ("two:1", {"A": "base", "B": "own"})
    assert (stack["three"].image, stack["three"].user) == ("base:1", "me")


DEPENDING = """
services:
  last:
    image: i
    depends_on:
      job: {condition: service_completed_successfully}
      db: {condition: service_healthy}
      extra: {condition: service_started, required: false, restart: true}
  job: {image: i, depends_on: [db]}
  db: {image: i, healthcheck: {test: ok}}
  extra: {image: i, profiles: [more]}
"""


def test_services_come_after_what_they_depend_on(tmp_path: Path) -> None:
    stack = read(tmp_path, DEPENDING)
    assert list(stack.services) == ["db", "job", "last"]
    assert stack.services["last"].depends_on == (
        Dependency(service="job", condition=Condition.COMPLETED),
        Dependency(service="db", condition=Condition.HEALTHY),
    )


def test_a_profile_brings_its_services_in(tmp_path: Path) -> None:
    stack = read(tmp_path, DEPENDING, "more")
    assert "extra" in stack.services
    assert Dependency(service="extra", required=False) in stack.services["last"].depends_on


def test_a_missing_or_empty_file_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ComposeError, match="none.yaml cannot be read: No such file"):
        read_compose(tmp_path / "none.yaml", {})
    with pytest.raises(ComposeError, match="the file is empty"):
        read(tmp_path, "# nothing\n")


def test_our_own_file_has_the_whole_stack_with_and_without_the_test_profile() -> None:
    for profiles, extra in ((), set()), (("test",), {"brewery-api"}):
        stack = read_compose(ROOT / "compose.yaml", {}, profiles=profiles)
        assert set(stack.services) == extra | {
            "postgres",
            "migrate",
            "api-server",
            "scheduler",
            "dag-processor",
        }
    assert stack.services["scheduler"].environment["BREWERY_API"].startswith("https://")


def test_our_own_file_builds_no_image_but_the_projects() -> None:
    # The stages put the image that was built and scanned in the place of each `build`.
    stack = read_compose(ROOT / "compose.yaml", {}, profiles=["test", "celery", "s3"])
    builds = {repr(service.build) for service in stack.services.values()}
    assert builds == {repr(None), repr(Build(context="."))}


def test_an_env_file_may_name_the_services_variables_which_go_before_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.env").write_text("A=own\nB=${A}-${C}-${D}\nD=own\n")
    (tmp_path / "stack.yaml").write_text(
        "services:\n  a:\n    image: i\n    env_file: app.env\n"
        "    environment: {A: service, C: service}\n"
    )
    found = read_compose(tmp_path / "stack.yaml", {"C": "caller"}).services["a"].environment
    assert found == {"A": "service", "B": "service-caller-", "C": "service", "D": "own"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=pa$!word$", "pa$!word$"),
        ("A=a$$b$1", "a$b$1"),
        ('A="a$ \\$ $$"', "a$ $ $"),
        ("A=#x #y", "#x"),
        ("A= # x", "# x"),
        ("A=x\t#y", "x\t#y"),
    ],
)
def test_an_env_file_is_read_as_compose_reads_it(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "app.env").write_text(f"{line}\n")
    (tmp_path / "stack.yaml").write_text("services:\n  a: {image: i, env_file: app.env}\n")
    assert read_compose(tmp_path / "stack.yaml", {}).services["a"].environment == {"A": value}
