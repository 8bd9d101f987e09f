"""Files in the shapes of well-known projects (`stacks/`): what each of them comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from ci.compose import ComposeError, read_compose
from ci.compose.types import Condition, MountKind, Port, Service

STACKS = Path(__file__).parent / "stacks"


def read(
    name: str, environ: Mapping[str, str] | None = None, profiles: Iterable[str] = ()
) -> Mapping[str, Service]:
    """The services of one file, dependencies first."""
    return read_compose(STACKS / f"{name}.yaml", environ or {}, profiles=profiles).services


def waits(service: Service) -> dict[str, Condition]:
    """What a service waits for."""
    return {need.service: need.condition for need in service.depends_on}


def mounted(service: Service) -> dict[str, tuple[MountKind, str, bool]]:
    """Kind, source and read-only of each mount, by its target."""
    return {m.target: (m.kind, m.source, m.read_only) for m in service.mounts}


def test_a_web_application_waits_for_a_healthy_database_and_a_cache() -> None:
    stack = read("web-db-cache", {"DB_PASSWORD": "x"})
    assert list(stack)[-1] == "web"
    assert waits(stack["web"]) == {"db": Condition.HEALTHY, "cache": Condition.STARTED}
    assert stack["web"].environment["DATABASE_URL"] == "postgres://shop:x@db:5432/shop"
    assert stack["db"].environment == {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "x"}
    assert mounted(stack["db"]) == {
        "/var/lib/postgresql/data": (MountKind.NAMED, "data", False),
    }
    assert stack["web"].build is not None and stack["web"].build.context == "./web"


def test_an_old_file_with_version_and_restarts() -> None:
    stack = read("wordpress")
    assert list(stack) == ["db", "wordpress"]
    assert stack["db"].command == (
        "--default-authentication-plugin=mysql_native_password",
        "--mysqlx=0",
    )
    assert stack["wordpress"].ports == (Port(target=80, published="80"),)


def test_jobs_follow_each_other() -> None:
    stack = read("django-jobs")
    assert waits(stack["server"]) == {
        "collectstatic": Condition.COMPLETED,
        "migrate": Condition.COMPLETED,
    }
    order = list(stack)
    assert order.index("db") < order.index("migrate") < order.index("server")
    assert stack["migrate"].environment["DEBUG"] == "false"


def test_later_env_files_win_and_the_environment_above_all() -> None:
    assert read("env-files", {"PASSED": "by the caller"})["app"].environment == {
        "DEBUG": "true",
        "HOST": "db.internal",
        "URL": 'http://db.internal:5432/"x"\n',
        "LITERAL": "${HOST} stays",
        "EMPTY": "",
        "PASSED": "by the caller",
        "MULTI": "one\ntwo",
        "YAML": "style",
        "LOCAL": "here",
        "RAW": '"${HOST}" # all of it',
    }
    assert "PASSED" not in read("env-files")["app"].environment


def test_a_volume_without_a_name_keeps_what_the_image_has_below_a_mount() -> None:
    app = read("node-dev")["app"]
    assert mounted(app) == {
        "/app": (MountKind.BIND, ".", False),
        "/app/node_modules": (MountKind.ANONYMOUS, "", False),
    }
    assert app.command == ("npm", "run", "dev", "--", "--port", "3000")
    assert (app.user, app.working_dir) == ("node", "/app")
    assert app.build is not None
    assert (app.build.dockerfile, app.build.target) == ("Dockerfile.dev", "dev")


def test_one_image_in_several_roles() -> None:
    stack = read("celery")
    assert {stack[name].image for name in ("worker", "beat", "flower")} == {"tasks:2"}
    assert stack["beat"].environment == {"BROKER": "redis://redis:6379", "LEVEL": "debug"}
    assert stack["worker"].environment["LEVEL"] == "info"
    assert stack["flower"].user == "1000:1000"
    assert waits(stack["flower"]) == {"redis": Condition.HEALTHY, "worker": Condition.STARTED}


@pytest.mark.parametrize(
    ("profiles", "services"),
    [
        ([], ["app"]),
        (["test"], ["mock", "app"]),
        (["debug"], ["mock", "app", "admin"]),
        (["other"], ["app"]),
    ],
)
def test_a_profile_brings_in_what_is_only_wanted_now_and_then(
    profiles: list[str], services: list[str]
) -> None:
    assert list(read("profiles", profiles=profiles)) == services


def test_a_service_starts_from_another_one() -> None:
    stack = read("extends", profiles=["never"])
    web, worker = stack["web"], stack["worker"]
    assert web.environment == {"LEVEL": "info", "NAME": "web"}
    assert mounted(web)["/etc/app"] == (MountKind.BIND, "./other", False)
    assert [port.target for port in web.ports] == [80, 443]
    assert web.healthcheck and web.healthcheck.command == ("ready",)
    assert web.healthcheck.interval == 1
    assert worker.command == ("work", "--hard")
    assert worker.healthcheck and worker.healthcheck.command == ("sh", "-c", "true")
    assert (worker.healthcheck.interval, worker.healthcheck.retries) == (1, 1)
    assert stack["base"].environment["NAME"] == "base"


def test_services_have_other_names_on_a_network() -> None:
    stack = read("networks")
    assert stack["api"].aliases == ("shop-api", "api.internal")
    assert stack["db"].aliases == ("database", "db.internal")
    assert stack["proxy"].aliases == ()


def test_secrets_and_configs_are_files_from_three_sources() -> None:
    app = read("secrets", {"TOKEN": "t0ken", "HOST": "h"})["app"]
    found = {text.target: (text.text, text.secret, text.owner, text.mode) for text in app.texts}
    assert found == {
        "/app.ini": ("[app]\nkey = $value\n", False, "0:0", 0o444),
        "/etc/app/inline.conf": ("host=h\n", False, "0:0", 0o444),
        "/run/secrets/db_password": ("not-a-secret\n", True, "0:0", 0o444),
        "/run/secrets/api-token": ("t0ken", True, "1000:1000", 0o400),
        "/etc/token": ("t0ken", True, "0:0", 0o440),
    }
    assert "t0ken" not in repr(app)
    with pytest.raises(ComposeError, match=r"secrets.yaml:14: variable TOKEN is not set\."):
        read("secrets")


def test_ports_in_ranges_and_a_list_of_variables() -> None:
    stack = read("kafka", {"KAFKA_HEAP_OPTS": "-Xmx1g"})
    kafka = stack["kafka"]
    assert [(p.target, p.published, p.protocol) for p in kafka.ports] == [
        (9092, "9092", "tcp"),
        (9093, "9093", "tcp"),
        (9094, "9094", "tcp"),
        (9999, "9999", "udp"),
    ]
    assert kafka.environment["KAFKA_HEAP_OPTS"] == "-Xmx1g"
    assert kafka.healthcheck and kafka.healthcheck.start_period == 90
    assert kafka.healthcheck.timeout == 0.5
    assert [(m.target, m.size) for m in stack["zookeeper"].mounts] == [
        ("/datalog", 64 << 20),
        ("/data", None),
    ]


def test_every_list_in_its_long_form() -> None:
    app = read("long-forms")["app"]
    assert app.ports == (
        Port(target=80, published="8080", host_ip="127.0.0.1"),
        Port(target=53, protocol="udp"),
    )
    assert mounted(app) == {
        "/data": (MountKind.NAMED, "data", False),
        "/conf": (MountKind.BIND, "./conf", True),
        "/scratch": (MountKind.TMPFS, "", False),
        "/own": (MountKind.ANONYMOUS, "", False),
    }
    assert waits(app) == {"db": Condition.HEALTHY}


@pytest.mark.parametrize(
    ("name", "entrypoint", "command"),
    [
        ("text", ("/bin/sh", "-c"), ("echo $HOME; exit 0",)),
        ("lists", ("/init", "--"), ("serve", "--name", "a b")),
        ("only-entrypoint", ("/run",), None),
        ("none", (), ("/bin/true",)),
        ("folded", None, ("serve", "--port", "80", "--title", "two words")),
        ("block", None, ("sh", "-c", 'set -e\nexec serve "$@"\n')),
        ("untouched", None, None),
    ],
)
def test_what_the_image_runs_changed_in_every_way(
    name: str, entrypoint: tuple[str, ...] | None, command: tuple[str, ...] | None
) -> None:
    service = read("entrypoints")[name]
    assert (service.entrypoint, service.command) == (entrypoint, command)


def test_variables_wherever_a_value_may_stand() -> None:
    app = read("interpolation", {"MODE": "fast", "EMPTY": ""}, ["test"])["app"]
    assert (app.image, app.user) == ("app:main-latest", "1000:0")
    assert app.command == ("run", "--cost", "$5", "--fast")
    assert app.ports == (Port(target=80, published="80", host_ip="127.0.0.1"),)
    assert app.environment == {"NESTED": "deep", "SET": "|empty", "JSON": '{"a": "${b}"}'}
    assert app.healthcheck and (app.healthcheck.retries, app.healthcheck.interval) == (4, 2)

    given = {"MODE": "m", "REGISTRY": "r.io", "TAG": "v1", "GID": "", "PORT": "81", "C": "c"}
    app = read("interpolation", {**given, "STAGE": "pre"}, ["pretest"])["app"]
    assert (app.image, app.user, app.environment["NESTED"]) == ("r.io/app:v1", "1000:", "c")
    with pytest.raises(ComposeError, match=r"interpolation.yaml:7: MODE must be set: choose"):
        read("interpolation")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("shell", ("sh", "-c", "curl -f http://localhost || exit 1")),
        ("cmd", ("curl", "-f", "http://localhost")),
        ("cmd-shell", ("sh", "-c", "curl -f localhost")),
        ("none", None),
        ("disabled", None),
    ],
)
def test_a_check_in_each_of_its_forms(name: str, command: tuple[str, ...] | None) -> None:
    check = read("healthchecks")[name].healthcheck
    assert (check and check.command) == command


def test_times_of_a_check_are_seconds() -> None:
    check = read("healthchecks")["times"].healthcheck
    assert check is not None
    assert (check.interval, check.start_period, check.retries) == (3661.5, 120, 9)
    assert check.timeout == pytest.approx(0.0005)
    assert check.start_interval == 0.05


def test_keys_without_effect_and_extensions_change_nothing() -> None:
    stack = read("monitoring")
    assert mounted(stack["prometheus"]) == {
        "/etc/prometheus.yml": (MountKind.BIND, "./prometheus.yml", True),
        "/prometheus": (MountKind.NAMED, "metrics", False),
    }
    assert waits(stack["grafana"]) == {"prometheus": Condition.STARTED}


def test_the_shape_of_airflows_own_file() -> None:
    stack = read("airflow", {"AIRFLOW_UID": "1001"})
    scheduler, init = stack["airflow-scheduler"], stack["airflow-init"]
    assert (scheduler.user, init.user) == ("1001:0", "0:0")
    assert init.entrypoint == ("/bin/bash",)
    assert init.environment["_AIRFLOW_DB_MIGRATE"] == "true"
    assert init.environment["AIRFLOW__CORE__FERNET_KEY"] == ""
    assert waits(scheduler) == {
        "redis": Condition.HEALTHY,
        "postgres": Condition.HEALTHY,
        "airflow-init": Condition.COMPLETED,
    }
    assert mounted(scheduler) == {"/opt/airflow/dags": (MountKind.BIND, "./dags", False)}


def test_a_cluster_out_of_one_service() -> None:
    stack = read("elastic")
    assert stack["es02"].environment == {
        "cluster.name": "logs",
        "bootstrap.memory_lock": "true",
        "node.name": "es02",
    }
    assert stack["es01"].aliases == ("es01",)
    assert list(stack).index("es01") < list(stack).index("es02") < list(stack).index("kibana")


def test_dependencies_that_meet_again_come_once_and_in_order() -> None:
    order = list(read("diamond"))
    assert len(order) == 5
    assert order.index("bottom") < order.index("left") < order.index("right") < order.index("top")
