"""Many, long and large: what an engine bears without losing or mixing anything."""

from __future__ import annotations

import random
import time
from pathlib import Path

import anyio
import dagger
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


@pytest.fixture
def tiny(dag: dagger.Client, tiny_root: Path) -> dagger.Container:
    """A small container whose commands were not run before."""
    nonce = str(time.time_ns())
    made = dag.container().with_rootfs(dag.host().directory(str(tiny_root)))
    return made.with_env_variable("NONCE", nonce)


def sh(container: dagger.Container, script: str) -> dagger.Container:
    return container.with_exec(["sh", "-c", script])


async def test_sixty_four_containers_run_at_once(tiny: dagger.Container) -> None:
    found: dict[int, str] = {}

    async def run(number: int) -> None:
        found[number] = await sh(tiny, f"echo {number}; sleep 1; echo {number} >&2").stdout()

    started = time.monotonic()
    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(run, number)
    assert found == {number: f"{number}\n" for number in range(64)}
    assert time.monotonic() - started < 60  # one after the other takes 64


@pytest.mark.slow
async def test_four_hundred_execs_in_one_query(tiny: dagger.Container) -> None:
    chain = tiny.with_new_file("/count", "")
    for number in range(400):
        chain = sh(chain, f"echo {number} >> /count")
    lines = (await chain.file("/count").contents()).split()
    assert lines == [str(number) for number in range(400)]


async def test_long_chain_that_deletes_and_makes_anew_leaves_the_expected_tree(
    tiny: dagger.Container,
) -> None:
    # More layers than an overlay holds at once, so that they are merged on the way.
    chance = random.Random(20)
    expected: dict[str, str] = {}
    chain = tiny
    for number in range(150):
        folder, name = f"/t/{chance.randrange(4)}", f"f{chance.randrange(5)}"
        match chance.randrange(5):
            case 0:
                script = f"rm -rf {folder}"
                expected = {p: c for p, c in expected.items() if not p.startswith(folder + "/")}
            case 1:
                script = f"rm -rf {folder}; mkdir -p {folder}; echo {number} > {folder}/{name}"
                expected = {p: c for p, c in expected.items() if not p.startswith(folder + "/")}
                expected[f"{folder}/{name}"] = f"{number}"
            case 2:
                script = f"rm -f {folder}/{name}"
                expected.pop(f"{folder}/{name}", None)
            case _:
                script = f"mkdir -p {folder}; echo {number} > {folder}/{name}"
                expected[f"{folder}/{name}"] = f"{number}"
        chain = sh(chain, script)
    listing = "for f in /t/*/*; do [ -f $f ] && { echo $f; cat $f; }; done; true"
    words = (await sh(chain, listing).stdout()).split()
    assert dict(zip(words[::2], words[1::2], strict=True)) == expected
    assert expected
    # As the engine reads it, too, and not only as the kernel shows it to a command.
    paths = {f"/t/{p}" for p in await chain.directory("/t").glob("**") if "/f" in p}
    assert paths == set(expected)


async def test_fifty_megabytes_of_output_arrive_whole(tiny: dagger.Container) -> None:
    line = "0123456789" * 7
    text = await sh(tiny, f"yes {line} | head -c 50000000").stdout()
    assert len(text) == 50_000_000
    assert set(text.split("\n")[:-1]) == {line}


async def test_secret_is_taken_out_of_much_output(
    dag: dagger.Client, tiny: dagger.Container
) -> None:
    secret = dag.set_secret("much", "correct horse battery staple")
    ran = sh(tiny.with_secret_variable("S", secret), 'yes "a $S b" | head -n 200000')
    assert set((await ran.stdout()).split("\n")) == {"a *** b", ""}


async def test_command_that_closes_its_output_runs_on(tiny: dagger.Container) -> None:
    ran = sh(tiny, "echo first; exec >&- 2>&-; sleep 0.3; : > /after")
    assert await ran.stdout() == "first\n"
    assert await ran.file("/after").contents() == ""


async def test_command_that_does_not_read_its_input_is_fine(tiny: dagger.Container) -> None:
    ran = tiny.with_exec(["sh", "-c", "exec <&-; echo done"], stdin="x" * 1_000_000)
    assert await ran.stdout() == "done\n"


async def test_process_left_in_the_background_does_not_hold_the_exec(
    tiny: dagger.Container,
) -> None:
    started = time.monotonic()
    assert await sh(tiny, "sleep 60 & echo done").stdout() == "done\n"
    assert time.monotonic() - started < 55


NAMES = ["é", "日本語", "with space", "tab\there", "line\nbreak", "-dash", "*", "quote'\"", "🍺"]


async def test_names_of_files_may_hold_any_characters(
    dag: dagger.Client, tiny: dagger.Container, tmp_path: Path
) -> None:
    tree = dag.directory()
    for number, name in enumerate(NAMES):
        tree = tree.with_new_file(name, f"{number}")
    assert sorted(await tree.entries()) == sorted(NAMES)
    ran = sh(tiny.with_directory("/in", tree), 'for f in /in/*; do cat "$f"; done')
    assert sorted(await ran.stdout()) == sorted("012345678")
    await ran.directory("/in").export(str(tmp_path / "out"))
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {name: f"{number}" for number, name in enumerate(NAMES)}
    again = dag.host().directory(str(tmp_path / "out"))
    assert await again.file("日本語").contents() == "1"


async def test_name_of_the_greatest_length_is_exported(dag: dagger.Client, tmp_path: Path) -> None:
    name = "n" * 255
    await dag.directory().with_new_file(name, "long").export(str(tmp_path))
    assert (tmp_path / name).read_text() == "long"


async def test_names_that_are_no_text_pass_through(
    dag: dagger.Client, tiny: dagger.Container, tmp_path: Path
) -> None:
    ran = sh(tiny, "mkdir /in; : > /in/$(printf 'caf\\351')")
    await ran.directory("/in").export(str(tmp_path))
    assert [path for path in (bytes(p) for p in tmp_path.iterdir())] == [
        bytes(tmp_path) + b"/caf\xe9"
    ]
    back = dag.host().directory(str(tmp_path))
    listed = await sh(tiny.with_directory("/in", back), "ls -N /in | cat -v").stdout()
    assert listed == "cafM-i\n"


async def test_service_that_dies_is_started_again_for_the_next(dag: dagger.Client) -> None:
    base = dag.container().from_("python:3.11-slim").with_env_variable("N", str(time.time_ns()))
    script = """
import socket, sys
server = socket.create_server(("", 8080))
while True:
    connection, _ = server.accept()
    if connection.recv(9) == b"die": sys.exit(3)
    connection.close()
"""
    service = base.with_exposed_port(8080).as_service(args=["python", "-c", script])
    client = base.with_service_binding("mortal", service)
    say = "import socket; s = socket.create_connection(('mortal', 8080)); s.sendall(b'{}'); "
    kill = ["python", "-c", say.format("die") + "import time; time.sleep(60)"]
    # The command goes with it: what it needs is not there any more.
    with pytest.raises(dagger.QueryError, match=r"\(aliased as mortal\) exited: exit code: 3$"):
        await client.with_exec(kill).sync()
    hello = ["python", "-c", say.format("hi") + "print(s.recv(9))"]
    assert await client.with_exec(hello).stdout() == "b''\n"


async def test_service_that_cannot_start_says_why(dag: dagger.Client) -> None:
    base = dag.container().from_("debian:bookworm-slim").with_env_variable("N", str(time.time_ns()))
    command = ["sh", "-c", "echo no configuration >&2; exit 7"]
    service = base.with_exposed_port(80).as_service(args=command)
    with pytest.raises(dagger.ExecError) as caught:
        await base.with_service_binding("broken", service).with_exec(["true"]).sync()
    assert caught.value.exit_code == 7
    assert caught.value.stderr == "no configuration\n"
