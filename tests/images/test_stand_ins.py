"""What the images promise, asked of the images themselves.

Every case holds for the named image too: that one is asked where its registry is reached.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagger
import pytest

from tests.images.session import Ask, embedded_session

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

DEBIAN = "debian:bookworm-slim"
PYTHON = "python:3.11-slim-bookworm"
POSTGRES = "postgres:15-bookworm"
REDIS = "redis:7-bookworm"
MOTO = "motoserver/moto:5.2.5"
TRIVY = "aquasec/trivy:0.76.0"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with embedded_session(tmp_path_factory.mktemp("engine")) as asked:
        yield asked


def shell(ask: Ask, image: str, script: str) -> str:
    """Standard output of a shell script in the image, without the last line break."""
    command = ["sh", "-euc", script]
    answer: str = ask(lambda client: client.container().from_(image).with_exec(command).stdout())
    return answer.rstrip("\n")


@pytest.mark.parametrize(
    ("image", "script", "expected"),
    [
        pytest.param(DEBIAN, ". /etc/os-release; echo $ID $VERSION_ID", "debian 12", id="release"),
        pytest.param(DEBIAN, "cat /etc/machine-id", "", id="no machine id"),
        pytest.param(DEBIAN, "ls /var/lib/apt/lists", "", id="no package lists"),
        pytest.param(DEBIAN, "ls /usr/share/man", "", id="no manual pages"),
        pytest.param(DEBIAN, "/usr/sbin/policy-rc.d || echo $?", "101", id="services stay off"),
        pytest.param(
            DEBIAN,
            "find / -xdev -user 0 -perm -2 ! -type l ! -perm -1000",
            "",
            id="nothing open to all",
        ),
        pytest.param(
            PYTHON,
            "which python python3 pip pip3",
            "\n".join(f"/usr/local/bin/{name}" for name in ("python", "python3", "pip", "pip3")),
            id="python and pip in /usr/local",
        ),
        pytest.param(
            PYTHON,
            "python -c 'import sys; print(sys.prefix, sys.base_prefix, sys.version_info[:2])'",
            "/usr/local /usr/local (3, 11)",
            id="no virtual environment",
        ),
        pytest.param(
            PYTHON,
            "python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'",
            "/usr/local/lib/python3.11/site-packages",
            id="site-packages",
        ),
        pytest.param(
            PYTHON,
            "python -c 'import bz2, ctypes, distutils, lzma, sqlite3, ssl, zlib, zoneinfo;"
            ' print(zoneinfo.ZoneInfo("Europe/Berlin"))\' 2>/dev/null',
            "Europe/Berlin",
            id="whole standard library",
        ),
        pytest.param(
            PYTHON,
            "python -c 'import os, platform;"
            ' print(os.environ["PYTHON_VERSION"] == platform.python_version())\'',
            "True",
            id="PYTHON_VERSION is true",
        ),
        pytest.param(PYTHON, "echo $LANG", "C.UTF-8", id="locale"),
        pytest.param(PYTHON, "test -s /etc/ssl/certs/ca-certificates.crt", "", id="certificates"),
        pytest.param(
            PYTHON,
            "useradd --uid 50000 --gid 0 --create-home airflow; groupadd x; id airflow",
            "uid=50000(airflow) gid=0(root) groups=0(root)",
            id="users can be added",
        ),
        pytest.param(
            PYTHON,
            "pip install --quiet --no-deps --no-cache-dir --root-user-action=ignore iniconfig;"
            " cd /; python -c 'import iniconfig; print(iniconfig.__name__)'",
            "iniconfig",
            id="pip installs",
        ),
        pytest.param(
            PYTHON,
            "python -m venv --without-pip /opt/v;"
            " pip --python /opt/v/bin/python install --quiet --no-deps --no-cache-dir iniconfig;"
            " ls -d /opt/v/lib/python3.11/site-packages/iniconfig;"
            " ! python -c 'import iniconfig' 2>/dev/null",
            "/opt/v/lib/python3.11/site-packages/iniconfig",
            id="venv is apart",
        ),
        pytest.param(
            PYTHON,
            "pip install --quiet --no-deps --no-cache-dir --root-user-action=ignore uv;"
            " uv --quiet pip install --system --no-deps --no-cache iniconfig;"
            " ls -d /usr/local/lib/python3.11/site-packages/iniconfig",
            "/usr/local/lib/python3.11/site-packages/iniconfig",
            id="uv takes it for the system's Python",
        ),
        pytest.param(
            POSTGRES,
            "getent passwd postgres | cut -d: -f1,3,4,6-",
            "postgres:999:999:/var/lib/postgresql:/bin/bash",
            id="postgres ids",
        ),
        pytest.param(
            POSTGRES,
            "echo $PGDATA $LANG $PG_MAJOR; stat -c '%U %a' $PGDATA",
            "/var/lib/postgresql/data en_US.utf8 15\npostgres 1777",
            id="postgres environment",
        ),
        pytest.param(
            POSTGRES, "command -v initdb", "/usr/lib/postgresql/15/bin/initdb", id="postgres path"
        ),
        pytest.param(POSTGRES, "find /etc/ssl -name '*snakeoil*'", "", id="no key of its own"),
        pytest.param(
            REDIS, "id -u redis; stat -c '%U' /data; pwd", "999\nredis\n/data", id="redis ids"
        ),
        pytest.param(REDIS, "redis-server --version | grep -o 'v=7'", "v=7", id="redis version"),
        pytest.param(MOTO, "command -v moto_server", "/usr/local/bin/moto_server", id="moto path"),
        pytest.param(TRIVY, "trivy --version --quiet", "Version: 0.76.0", id="trivy version"),
        pytest.param(
            TRIVY, "command -v trivy", "/usr/local/bin/trivy", id="trivy where the image has it"
        ),
    ],
)
def test_inside(ask: Ask, image: str, script: str, expected: str) -> None:
    assert shell(ask, image, script) == expected


def test_a_pin_that_cannot_be_had_has_the_stand_in_of_its_name(ask: Ask) -> None:
    pinned = f"{DEBIAN}@sha256:{'0' * 64}"

    async def facts(client: dagger.Client) -> tuple[str | None, str]:
        container = client.container().from_(pinned)
        return await container.label("dev.brewline.stand-in"), await container.image_ref()

    assert ask(facts) == (DEBIAN, DEBIAN)


@pytest.mark.parametrize(
    ("image", "entrypoint", "arguments"),
    [
        pytest.param(DEBIAN, [], ["bash"], id="debian"),
        pytest.param(PYTHON, [], ["python3"], id="python"),
        pytest.param("python:3.11-slim", [], ["python3"], id="python by its short name"),
        pytest.param(POSTGRES, ["docker-entrypoint.sh"], ["postgres"], id="postgres"),
        pytest.param(REDIS, ["docker-entrypoint.sh"], ["redis-server"], id="redis"),
        pytest.param(MOTO, ["/usr/local/bin/moto_server", "-H", "0.0.0.0"], [], id="moto"),
        pytest.param(TRIVY, ["trivy"], [], id="trivy"),
    ],
)
def test_what_a_container_starts(
    ask: Ask, image: str, entrypoint: list[str], arguments: list[str]
) -> None:
    async def configuration(client: dagger.Client) -> tuple[list[str], list[str]]:
        container = client.container().from_(image)
        return await container.entrypoint(), await container.default_args()

    assert ask(configuration) == (entrypoint, arguments)


def test_database_is_made_and_answers_over_the_network(ask: Ask) -> None:
    async def query(client: dagger.Client) -> str:
        server = (
            client.container()
            .from_(POSTGRES)
            .with_env_variable("POSTGRES_USER", "airflow")
            .with_env_variable("POSTGRES_PASSWORD", "it's secret")
            .with_env_variable("POSTGRES_DB", "air-flow")
            .with_new_file(
                "/docker-entrypoint-initdb.d/1.sql", "CREATE TABLE beer AS SELECT 7 AS x"
            )
            .with_new_file(
                "/docker-entrypoint-initdb.d/2.sh", 'psql -c "UPDATE beer SET x = x + 1"'
            )
            .with_exposed_port(5432)
            .as_service(use_entrypoint=True)
        )
        psql = ["psql", "--host=db", "--username=airflow", "--dbname=air-flow", "--no-align"]
        return await (
            client.container()
            .from_(POSTGRES)
            .with_service_binding("db", server)
            .with_env_variable("PGPASSWORD", "it's secret")
            .with_exec([*psql, "--tuples-only", "--command=SELECT x, current_user FROM beer"])
            .stdout()
        )

    assert ask(query) == "8|airflow\n"


def test_database_without_a_password_says_what_is_missing(ask: Ask) -> None:
    async def start(client: dagger.Client) -> str:
        return await (
            client.container()
            .from_(POSTGRES)
            .with_exec(["postgres"], use_entrypoint=True, expect=dagger.ReturnType.FAILURE)
            .stderr()
        )

    assert "POSTGRES_PASSWORD" in ask(start)
