"""Programs on stores of their own: what they remember, share, survive, and must never write."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine import program
from tests.engine.machine import processes

pytestmark = pytest.mark.engine


@pytest.fixture
def env(tiny_root: Path, tmp_path: Path) -> dict[str, str]:
    return {"TINY_ROOT": str(tiny_root), "BREWLINE_STORE": str(tmp_path / "store")}


def output(body: str, engine: Path, env: dict[str, str]) -> str:
    """What a program prints that must not fail."""
    done = program.run(body, engine, env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_exec_is_remembered_across_sessions_and_not_moved_by_times(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("contents")
    env["SOURCE"] = str(source)
    body = """
    source = dag.host().directory(os.environ["SOURCE"])
    ran = sh(tiny().with_mounted_directory("/s", source), "cat /proc/uptime /s/file")
    copied = sh(tiny().with_directory("/s", source), "cat /proc/uptime /s/file")
    print(await ran.stdout(), await copied.stdout())
    """
    first = output(body, engine_bin, env)
    os.utime(source / "file", (1, 1))
    os.utime(source, (2, 2))
    assert output(body, engine_bin, env) == first
    (source / "file").write_text("changed!")
    assert output(body, engine_bin, env) != first
    (source / "file").write_text("contents")
    assert output(body, engine_bin, env) == first


def test_failed_exec_is_never_remembered(engine_bin: Path, env: dict[str, str]) -> None:
    body = """
    ctr = tiny().with_mounted_cache("/v", dag.cache_volume("v"))
    ran = sh(ctr, "[ -e /v/x ] || { : >/v/x; exit 3; }")
    for _ in range(2):
        try:
            await ran.sync()
            print("worked")
        except dagger.ExecError as error:
            print("failed", error.exit_code)
    """
    assert output(body, engine_bin, env) == "failed 3\nworked\n"


def test_two_programs_at_once_on_one_new_store(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    env["OUT"] = str(tmp_path / "out")
    body = """
    chain = tiny()
    for number in range(12):
        chain = sh(chain, f"echo {number} >> /all; mkdir -p /d{number}; rm -rf /d{number - 3}")
    locked = dagger.CacheSharingMode.LOCKED
    volume = chain.with_mounted_cache("/v", dag.cache_volume("v"), sharing=locked)
    await sh(fresh(volume), "echo x >> /v/count").sync()
    await chain.file("/all").export(os.environ["OUT"] + "/all")
    print(await sh(chain, "echo /d*; cat /all").stdout())
    """
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: output(body, engine_bin, env), range(3)))
    numbers = "".join(f"{number}\n" for number in range(12))
    assert found == [f"/d10 /d11 /d9 /dev\n{numbers}\n"] * 3
    assert os.listdir(tmp_path / "out") == ["all"]
    assert (tmp_path / "out/all").read_text() == numbers
    counted = """
    ctr = tiny().with_mounted_cache("/v", dag.cache_volume("v"))
    print(await sh(fresh(ctr), "cat /v/count").stdout())
    """
    assert output(counted, engine_bin, env) == "x\nx\nx\n\n"


def test_store_that_cannot_be_used_is_one_clear_message(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = program.run(
        "print('connected')", engine_bin, {**env, "BREWLINE_STORE": str(tmp_path / "file/store")}
    )
    assert done.returncode == 1
    assert "cannot be used: Not a directory; name another folder" in done.stderr


SECRET = """
value = os.environ["VALUE"]
secret = dag.set_secret("token", value)
with_secret = fresh(tiny()).with_secret_variable("S", secret).with_mounted_secret("/s", secret)
service = with_secret.as_service(args=["sh", "-c", "echo $S; cat /s; sleep 70005"])
await service.start()
ran = sh(with_secret, 'echo "$S"; cat /s >&2; echo "a${S}b"; sleep 1.5')
async with anyio.create_task_group() as group:
    group.start_soon(ran.sync)
    print("running", flush=True)
print(await ran.stdout(), await ran.stderr(), await ran.combined_output())
try:
    await sh(with_secret, 'echo "$S"; cat /s >&2; exit 5').sync()
except dagger.ExecError as error:
    print(error, error.stdout, error.stderr, error.message)
try:
    await with_secret.with_exec(["sh", "-c", "exit 6"], stdin=value).sync()
except dagger.ExecError as error:
    print(error)
try:
    await with_secret.file("/none").contents()
except dagger.QueryError as error:
    print(error)
print(await dag.host().directory("/", include=["none"]).id())
print(await secret.id(), await secret.name(), await with_secret.id())
"""


def test_secret_reaches_no_disk_log_or_command_line(
    engine_bin: Path, env: dict[str, str], tmp_path: Path
) -> None:
    value = f"{secrets.token_hex(8)}-é-{secrets.token_hex(8)}"
    events = tmp_path / "events"
    env |= {"VALUE": value, "BREWLINE_EVENTS": str(events), "PYTHONUTF8": "1"}
    commands: list[str] = []
    with program.started(SECRET, engine_bin, env) as running:
        while running.poll() is None and not any("sleep 1.5" in each for each in commands):
            commands += [process.command for process in processes()]
        assert running.poll() is None
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "a***b" in out
    assert value not in out + err
    assert not [command for command in commands if value in command]
    assert value not in events.read_text()
    assert _holding(value.encode(), Path(env["BREWLINE_STORE"])) == []
    assert _holding(value.encode(), Path("/run/brewline")) == []


def _holding(value: bytes, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if value in path.read_bytes()]
