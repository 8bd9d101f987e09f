"""What cannot be meant is one clear sentence: no error of Python's, and no folder of ours."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import dagger
import pytest
from dagger import PortForward

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

Asked: TypeAlias = Callable[[dagger.Client, dagger.Container, Path], Awaitable[object]]


def sleeping(base: dagger.Container, port: int) -> dagger.Service:
    listening = base.with_exposed_port(port, experimental_skip_healthcheck=True)
    return listening.as_service(args=["sleep", "60"])


def forward(port: int) -> list[PortForward]:
    return [PortForward(backend=port)]


ODD: dict[str, tuple[Asked, str]] = {
    "no socket": (
        lambda dag, base, path: base.with_unix_socket("/s", dag.host().unix_socket(str(path)))
        .with_exec(["true"])
        .sync(),
        "{path} is no unix socket of this machine: start what listens there",
    ),
    "no socket there": (
        lambda dag, base, path: base.with_unix_socket("/s", dag.host().unix_socket(f"{path}/s"))
        .with_exec(["true"])
        .sync(),
        "{path}/s is no unix socket of this machine: start what listens there",
    ),
    "a device of the machine": (
        lambda dag, base, path: dag.host().file("/dev/zero").contents(),
        "path /dev/zero is a device, pipe or socket, not a file",
    ),
    "a pipe of the machine": (
        lambda dag, base, path: dag.host().file(f"{path}/pipe").contents(),
        "path {path}/pipe is a device, pipe or socket, not a file",
    ),
    "a home that is not there": (
        lambda dag, base, path: dag.host().directory("~no-such-user/x").entries(),
        "~no-such-user/x: this machine knows no home of that user",
    ),
    "a secret that is too large": (
        lambda dag, base, path: dag.secret("cmd://head -c 512001 /dev/zero").plaintext(),
        "invalid secret size 512001: it may have 512000 bytes",
    ),
    "a user of a large number": (
        lambda dag, base, path: base.with_user("99999999999").with_exec(["true"]).sync(),
        "get user: uids and gids must be in range 0-2147483647",
    ),
    "input that is not there": (
        lambda dag, base, path: base.with_exec(["cat"], redirect_stdin="/none").sync(),
        "open redirect stdin file: open /none: no such file or directory",
    ),
    "input from a folder": (
        lambda dag, base, path: base.with_exec(["cat"], redirect_stdin="/etc").sync(),
        "open redirect stdin file: open /etc: is a directory",
    ),
    "a mount at the root": (
        lambda dag, base, path: base.with_mounted_directory("/", dag.directory())
        .with_exec(["true"])
        .sync(),
        "the container did not start: cannot mount at /: Invalid argument",
    ),
    "a folder mounted on a file": (
        lambda dag, base, path: base.with_mounted_directory("/etc/passwd", dag.directory())
        .with_exec(["true"])
        .sync(),
        "the container did not start: cannot mount at /etc/passwd: Not a directory",
    ),
    "a port of a service": (
        lambda dag, base, path: sleeping(base, 70000).start(),
        "there is no port 70000: ports are 0 to 65535",
    ),
    "a port of a tunnel": (
        lambda dag, base, path: dag.host()
        .tunnel(sleeping(base, 80), ports=[PortForward(backend=80, frontend=-1)])
        .start(),
        "there is no port -1: ports are 0 to 65535",
    ),
    "a port of the machine": (
        lambda dag, base, path: dag.host().service(forward(99999)).start(),
        "there is no port 99999: ports are 0 to 65535",
    ),
}


@pytest.mark.parametrize("case", ODD)
async def test_what_cannot_be_meant_is_one_clear_sentence(
    dag: dagger.Client, base: dagger.Container, tmp_path: Path, case: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes").write_bytes(b"\xff\x00")
    asked, said = ODD[case]
    with pytest.raises(dagger.QueryError) as failed:
        await asked(dag, base, tmp_path)
    assert str(failed.value) == said.format(path=tmp_path)


async def test_a_command_line_that_is_too_long_is_told(base: dagger.Container) -> None:
    with pytest.raises(dagger.ExecError) as failed:
        await base.with_exec(["echo", "x" * 200_000]).sync()
    assert failed.value.stderr == "fork/exec echo: argument list too long"


async def test_a_secret_file_is_what_its_bytes_are(dag: dagger.Client, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes("é\r\n\r\n".encode())
    assert await dag.secret(f"file://{tmp_path}/key").plaintext() == "é\r\n\r\n"
