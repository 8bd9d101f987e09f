"""What the real engine's own tests ask for, and the recorded cases do not touch."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

Ask = Callable[[dagger.Client, dagger.Container], Awaitable[object]]

MISSING: dict[str, tuple[Ask, str]] = {
    "the name of a directory": (
        lambda dag, base: dag.directory().directory("keep/../this").name(),
        "stat keep/../this: no such file or directory",
    ),
    "the name of a file": (
        lambda dag, base: dag.directory().file("to/file.txt").name(),
        "stat to/file.txt: no such file or directory",
    ),
    "a directory below one": (
        lambda dag, base: tree(dag, "a/f").directory("a").directory("b").entries(),
        "stat b: no such file or directory",
    ),
    "a search out of the directory": (
        lambda dag, base: tree(dag, "a/f").search("x", paths=["a/../../etc"]),
        "path cannot escape directory: a/../../etc",
    ),
}


def tree(dag: dagger.Client, *paths: str) -> dagger.Directory:
    made = dag.directory()
    for path in paths:
        made = made.with_new_file(path, f"this is {path}")
    return made


@pytest.mark.parametrize("name", MISSING)
async def test_what_is_not_there_is_called_as_it_was_asked_for(
    dag: dagger.Client, base: dagger.Container, name: str
) -> None:
    ask, message = MISSING[name]
    with pytest.raises(dagger.QueryError) as caught:
        await ask(dag, base)
    assert str(caught.value) == message


async def test_a_search_follows_links_below_its_directory(dag: dagger.Client) -> None:
    files = tree(dag, "link", "sub/etc/file").with_symlink("/etc/file", "sub/link")
    found = await files.directory("sub").search("this is", paths=["link"])
    assert [await each.file_path() for each in found] == ["etc/file"]
    found = await files.search("this is link", paths=["/sub/../"])
    assert [await each.file_path() for each in found] == ["./link"]


async def test_no_path_is_the_working_directory(base: dagger.Container) -> None:
    made = base.with_workdir("/w").with_new_file("a/f", "").with_new_file("g", "")
    assert await made.without_directory("").with_exec(["find", "/w"]).stdout() == "/w\n"


async def test_an_image_archive_is_for_its_owner_alone(
    base: dagger.Container, tmp_path: Path
) -> None:
    await base.export(f"{tmp_path}/exported.tar")
    await base.as_tarball().export(f"{tmp_path}/tarball.tar")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_all_capabilities_are_kept_by_any_user(base: dagger.Container) -> None:
    look = ["sh", "-c", "grep '^Cap' /proc/self/status | cut -f 2 | sort -u | wc -l"]
    made = base.with_user("nobody").with_exec(look, insecure_root_capabilities=True)
    assert await made.stdout() == "1\n"


async def test_streams_are_those_of_mounts_too(dag: dagger.Client, base: dagger.Container) -> None:
    secret = dag.set_secret("the input", "a long value")
    user = base.with_exec(["useradd", "-u", "1234", "auser"]).with_user("auser")
    made = user.with_mounted_secret("/m/secret", secret).with_mounted_cache(
        "/cache", dag.cache_volume("of redirected streams")
    )
    upper = ["tr", "a-z", "A-Z"]
    written = made.with_exec(upper, redirect_stdin="/m/secret", redirect_stdout="/m/out")
    assert await written.file("/m/out").contents() == "A LONG VALUE"
    look = written.with_user("root").with_exec(["stat", "-c", "%a %U", "/m/out"])
    assert await look.stdout() == "600 auser\n"
    cached = made.with_exec(["echo", "kept"], redirect_stdout="/cache/out")
    assert await cached.with_exec(["cat", "/cache/out"]).stdout() == "kept\n"


async def test_a_secret_lies_over_a_file_of_its_place(
    dag: dagger.Client, base: dagger.Container
) -> None:
    secret = dag.set_secret("over a file", "hidden value")
    made = base.with_mounted_secret("/s", secret).with_mounted_file("/s", dag.file("f", "seen"))
    assert await made.with_exec(["sh", "-c", "wc -c < /s"]).stdout() == "12\n"
    assert await made.file("/s").contents() == "seen"


async def test_a_secret_may_be_any_bytes(
    dag: dagger.Client, base: dagger.Container, tmp_path: Path
) -> None:
    data = os.urandom(512_000) + b"\xff"
    (tmp_path / "key").write_bytes(data[-512_000:])
    secret = dag.secret(f"file://{tmp_path}/key")
    made = base.with_mounted_secret("/key", secret).with_exec(["sha256sum", "/key"])
    assert (await made.stdout()).split()[0] == hashlib.sha256(data[-512_000:]).hexdigest()
    assert (await secret.plaintext()).endswith("\N{REPLACEMENT CHARACTER}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    rules = {"": "*.md\nsub/g.txt\nout/*\n!out/kept\n", "sub": "local\n"}
    files = "a.md", "a.txt", "sub/a.md", "sub/g.txt", "sub/h", "sub/local", "out/kept", "out/gone"
    for path in (".git/HEAD", "ignored/x", *files):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    for folder, text in rules.items():
        (tmp_path / folder / ".gitignore").write_text(text)
    return tmp_path


async def test_a_folder_has_the_rules_of_its_repository(
    dag: dagger.Client, repository: Path
) -> None:
    folder = dag.host().directory(f"{repository}/sub", gitignore=True)
    assert await folder.entries() == [".gitignore", "h"]
    (repository / ".gitignore").write_text("ignored/\n")
    with pytest.raises(dagger.QueryError, match="^ignored: no such file or directory"):
        await dag.host().directory(f"{repository}/ignored", gitignore=True).entries()


async def test_files_of_an_ignored_folder_come_back(dag: dagger.Client, repository: Path) -> None:
    (repository / ".gitignore").write_text("out/\n!out/kept\n")
    whole = dag.host().directory(str(repository), gitignore=True)
    assert await whole.glob("out/**") == ["out/kept"]
    copied = dag.host().directory(str(repository), no_cache=True).filter(gitignore=True)
    assert await copied.glob("out/**") == ["out/kept"]


def served(base: dagger.Container, *command: str) -> dagger.Container:
    return base.with_env_variable("SEED", str(uuid.uuid4())).with_default_args(list(command))


async def test_a_command_ends_with_a_service_that_it_needs(base: dagger.Container) -> None:
    server = served(base, "sh", "-c", "sleep 1; exit 42").as_service()
    name = await server.hostname()
    with pytest.raises(dagger.QueryError) as caught:
        await base.with_service_binding("www", server).with_exec(["sleep", "50"]).sync()
    assert str(caught.value) == f"bound service {name} (aliased as www) exited: exit code: 42"


@pytest.mark.parametrize("shell", [True, False])
async def test_a_service_is_up_when_its_health_check_passes(
    dag: dagger.Client, base: dagger.Container, shell: bool
) -> None:
    both = base.with_mounted_cache("/c", dag.cache_volume(f"test-{uuid.uuid4()}"))
    check = ["test -e /up && touch /c/checked"]
    server = served(both, "sh", "-c", "sleep 0.4; touch /up; sleep 50")
    checked = server.with_docker_healthcheck(
        check if shell else ["sh", "-c", *check], shell=shell, start_interval="100ms", retries=50
    )
    client = both.with_service_binding("www", checked.as_service())
    await client.with_exec(["test", "-e", "/c/checked"]).sync()


async def test_a_failed_health_check_is_told_as_its_command(base: dagger.Container) -> None:
    check = ["sh", "-c", "echo no; echo eek >&2; exit 42"]
    server = served(base, "sleep", "50").with_docker_healthcheck(check, interval="10ms")
    service = server.as_service()
    name = await service.hostname()
    with pytest.raises(dagger.ExecError) as caught:
        await base.with_service_binding("www", service).with_exec(["true"]).sync()
    said = f"start {name} (aliased as www): health check errored: exit code: 42"
    assert str(caught.value) == said
    assert (caught.value.exit_code, caught.value.command) == (42, check)
    assert (caught.value.stdout, caught.value.stderr) == ("no\n", "eek\n")


async def test_ports_are_forwarded_in_order_or_refused(
    dag: dagger.Client, base: dagger.Container, free_tcp_port_factory: Callable[[], int]
) -> None:
    own, other = free_tcp_port_factory(), free_tcp_port_factory()
    server = served(base, "sh", "-c", "python -m http.server 8000")
    ports = [dagger.PortForward(backend=8000, frontend=other)]
    service = server.with_exposed_port(own, experimental_skip_healthcheck=True).as_service()
    tunnel = await dag.host().tunnel(service, native=True, ports=ports).start()
    assert [await port.port() for port in await tunnel.ports()] == [own, other]
    await tunnel.stop()
    with pytest.raises(dagger.QueryError, match="^no ports to forward$"):
        await dag.host().tunnel(server.as_service()).start()
    with pytest.raises(dagger.QueryError, match="^no ports specified$"):
        await dag.host().service([]).start()
