"""What the recorded cases do not touch of Container."""

from __future__ import annotations

import json
import tarfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import dagger
import pytest
from dagger import ExistsType, FileType

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


async def test_standard_input_comes_from_a_file(base: dagger.Container) -> None:
    made = base.with_new_file("/in", "from a file").with_exec(["cat"], redirect_stdin="/in")
    assert await made.stdout() == "from a file"


async def test_there_is_one_standard_input(base: dagger.Container) -> None:
    with pytest.raises(dagger.QueryError, match="cannot set both stdin and redirectStdin"):
        await base.with_exec(["cat"], stdin="x", redirect_stdin="/etc/passwd").sync()


@pytest.mark.parametrize("expect", [dagger.ReturnType.ANY, dagger.ReturnType.FAILURE])
async def test_a_code_that_means_a_signal_is_never_expected(
    base: dagger.Container, expect: dagger.ReturnType
) -> None:
    for code in (127, 192, 255):
        made = base.with_exec(["sh", "-c", f"exit {code}"], expect=expect)
        assert await made.exit_code() == code
    for script in ("exit 128", "exit 191", "kill -9 $$"):
        with pytest.raises(dagger.ExecError):
            await base.with_exec(["sh", "-c", script], expect=expect).sync()


async def test_success_is_no_failure_that_was_expected(base: dagger.Container) -> None:
    with pytest.raises(dagger.ExecError, match="exit code: 0"):
        await base.with_exec(["true"], expect=dagger.ReturnType.FAILURE).sync()


async def test_streams_go_to_files_and_are_still_seen(base: dagger.Container) -> None:
    script = ["sh", "-c", "echo out; echo err >&2"]
    made = base.with_exec(script, redirect_stdout="/out", redirect_stderr="/err")
    assert [await made.file(path).contents() for path in ("/out", "/err")] == ["out\n", "err\n"]


async def test_a_volatile_variable_is_seen_and_runs_nothing_again(base: dagger.Container) -> None:
    script = ["sh", "-c", 'echo "$RUN"; cat /proc/sys/kernel/random/uuid']
    fresh = base.with_env_variable("SEED", str(uuid.uuid4()))

    async def run(value: str) -> list[str]:
        made = fresh.with_volatile_variable("RUN", value).with_exec(script)
        return (await made.stdout()).split()

    first = await run("1")
    assert first[0] == "1"
    assert await run("2") == first


async def test_a_volatile_variable_can_be_taken_away(base: dagger.Container) -> None:
    made = base.with_volatile_variable("RUN", "1").without_volatile_variable("RUN")
    assert await made.with_exec(["sh", "-c", "echo ${RUN-unset}"]).stdout() == "unset\n"


async def test_an_empty_variable_is_set(base: dagger.Container) -> None:
    made = base.with_env_variable("EMPTY", "")
    assert await made.env_variable("EMPTY") == ""
    assert await made.env_variable("NONE") is None
    assert await made.with_exec(["sh", "-c", "echo ${EMPTY-unset}."]).stdout() == ".\n"


async def test_a_health_check_is_read_back(dag: dagger.Client) -> None:
    made = dag.container().with_docker_healthcheck(
        ["curl -f localhost"],
        shell=True,
        interval="1m30s",
        timeout="500ms",
        start_period="1h",
        start_interval="2s",
        retries=4,
    )
    check = made.docker_healthcheck()
    assert check is not None
    assert [await check.args(), await check.shell(), await check.retries()] == [
        ["curl -f localhost"],
        True,
        4,
    ]
    found = [check.interval(), check.timeout(), check.start_period(), check.start_interval()]
    assert [await each for each in found] == ["1m30s", "500ms", "1h0m0s", "2s"]


async def test_stat_sees_mounts_and_follows_links_on_demand(
    dag: dagger.Client, base: dagger.Container
) -> None:
    mount = dag.directory().with_new_file("f", "12345", permissions=0o640).with_symlink("f", "l")
    made = base.with_mounted_directory("/m", mount)
    file, link = made.stat("/m/l"), made.stat("/m/l", do_not_follow_symlinks=True)
    assert await file.name() == "f"
    assert [await file.size(), await file.permissions()] == [5, 0o640]
    assert [await file.file_type(), await link.file_type()] == [FileType.REGULAR, FileType.SYMLINK]


async def test_exists_is_relative_to_the_working_directory(base: dagger.Container) -> None:
    made = base.with_workdir("/w").with_new_file("f", "x").with_env_variable("NAME", "f")
    assert await made.exists("f", expected_type=ExistsType.REGULAR_TYPE)
    assert await made.exists("$NAME", expand=True)
    assert not await made.exists("f", expected_type=ExistsType.DIRECTORY_TYPE)


async def test_files_of_a_container_are_taken_away_by_pattern(base: dagger.Container) -> None:
    made = base.with_workdir("/w").with_new_file("a.py", "").with_new_file("b.txt", "")
    left = made.without_files(["*.py", "none"]).directory(".")
    assert await left.entries() == ["b.txt"]


async def test_variables_of_a_file_are_set_and_its_comments_are_not(
    dag: dagger.Client, base: dagger.Container
) -> None:
    env = dag.file(".env", '# why\nA=1\nB="$A 2"\n').as_env_file()
    made = base.with_env_variable("A", "0").with_env_file_variables(env)
    names = [await each.name() for each in await made.env_variables()]
    assert [await made.env_variable("A"), await made.env_variable("B")] == ["1", "1 2"]
    assert "# why" not in names


@pytest.mark.parametrize("owner", ["nobody", "12:34"])
async def test_a_new_file_belongs_to_whom_it_is_given(base: dagger.Container, owner: str) -> None:
    made = base.with_new_file("/f", "x", owner=owner).with_exec(["stat", "-c", "%U %u:%g", "/f"])
    expected = {"nobody": "nobody 65534:65534", "12:34": "man 12:34"}[owner]
    assert (await made.stdout()).strip().replace("UNKNOWN", "man") == expected


async def test_a_refused_argument_is_named_with_the_reason(base: dagger.Container) -> None:
    with pytest.raises(dagger.QueryError) as raised:
        await base.with_exec(["true"], experimental_privileged_nesting=True).sync()
    assert "Container.withExec(experimentalPrivilegedNesting:)" in str(raised.value)
    assert "--engine dagger" in str(raised.value)


async def test_what_was_set_can_be_taken_away(dag: dagger.Client) -> None:
    plain = dag.container()
    secret = dag.set_secret("registry-password", "x")
    made = (
        plain.with_annotation("a", "1")
        .with_docker_healthcheck(["true"])
        .with_registry_auth("example.org", "me", secret)
        .without_annotation("a")
        .without_docker_healthcheck()
        .without_registry_auth("example.org")
    )
    assert await made.as_tarball().digest() == await plain.as_tarball().digest()


async def test_a_socket_can_be_taken_away(dag: dagger.Client, base: dagger.Container) -> None:
    fresh = base.with_env_variable("SEED", str(uuid.uuid4()))
    made = fresh.with_unix_socket("/s", dag.host().unix_socket("/none/such"))
    with pytest.raises(dagger.QueryError):
        await made.with_exec(["true"]).sync()
    await made.without_unix_socket("/s").with_exec(["true"]).sync()


async def test_an_annotation_is_in_the_manifest(dag: dagger.Client, tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    made = dag.container().with_new_file("/f", "x")
    await made.with_annotation("org.example.why", "because").export(str(target))
    with tarfile.open(target) as archive:
        index = json.loads(_file(archive, "index.json"))
        manifest = _file(archive, "blobs/sha256/" + index["manifests"][0]["digest"][7:])
    assert json.loads(manifest)["annotations"] == {"org.example.why": "because"}


def _file(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None
    return found.read()


@pytest.mark.parametrize("field", ["as_tarball", "export", "publish"])
async def test_a_compression_that_is_not_written_is_refused(
    dag: dagger.Client, tmp_path: Path, field: str
) -> None:
    made = dag.container().with_new_file("/f", "x")
    choice = dagger.ImageLayerCompression.EStarGZ
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "as_tarball": lambda: made.as_tarball(forced_compression=choice).size(),
        "export": lambda: made.export(str(tmp_path / "x"), forced_compression=choice),
        "publish": lambda: made.publish("127.0.0.1:9/x", forced_compression=choice),
    }
    with pytest.raises(dagger.QueryError, match="(?i)estargz"):
        await asks[field]()
