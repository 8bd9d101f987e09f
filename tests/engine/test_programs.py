"""Ordinary Dagger programs, in the shapes of its cookbook, as whole programs with nothing special.

What they print is what a user of the real engine would see.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

_HEAD = """
import io, os, sys, threading, urllib.request
import anyio, dagger
from dagger import dag

FRESH = os.environ["FRESH"]
ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"

def debian():
    return dag.container().from_("debian:bookworm-slim").with_env_variable("FRESH", FRESH)

def python():
    return dag.container().from_("python:3.11-slim").with_env_variable("FRESH", FRESH)

def web(text):
    served = python().with_workdir("/srv").with_new_file("index.html", text)
    return served.with_exposed_port(8080).as_service(args=["python", "-m", "http.server", "8080"])

def read(url):
    return urllib.request.urlopen(url, timeout=30).read().decode()

"""


def run(
    body: str, engine: Path, folder: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A program in `folder`, which must end well; `body` may use nothing but `_HEAD`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DAGGER_")}
    variables = {"_EXPERIMENTAL_DAGGER_CLI_BIN": str(engine), "FRESH": str(time.time_ns())}
    done = subprocess.run(
        [sys.executable, "-c", _HEAD + textwrap.dedent(body) + "\nanyio.run(main)\n"],
        env={**own, **variables, **(env or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_application_is_built_in_one_container_and_packed_in_another(
    engine_bin: Path, tmp_path: Path
) -> None:
    project, out = tmp_path / "project", tmp_path / "dist"
    for name in ("src/app.py", "src/notes.md", "node_modules/huge.js", "README.md"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("print('built')")
    out.mkdir()
    (out / "stale").touch()
    body = """
    async def main():
        async with dagger.connection():
            source = dag.host().directory(".", exclude=["node_modules", "**/*.md"])
            print(await source.glob("**/*"))
            compiled = (
                python()
                .with_mounted_directory("/work", source)
                .with_workdir("/work")
                .with_mounted_cache("/cache", dag.cache_volume("programs-" + FRESH))
                .with_exec(["sh", "-c", "mkdir /dist && python -m compileall -bq src && ls /cache"])
                .with_exec(["sh", "-c", "mv src/app.pyc /dist && touch /cache/seen"])
            )
            dist = compiled.directory("/dist")
            print(await dist.export("../dist", wipe=True) == os.path.abspath("../dist"))
            image = (
                python()
                .with_directory("/app", dist)
                .with_entrypoint(["python"])
                .with_default_args(["/app/app.pyc"])
                .with_user("nobody")
            )
            print(await image.with_exec([], use_entrypoint=True).stdout(), end="")
            again = dag.container().import_(image.as_tarball())
            print(await again.entrypoint(), await again.default_args(), await again.user())
            print(await again.with_exec(["-c", "print(6 * 7)"], use_entrypoint=True).stdout())
    """
    assert run(body, engine_bin, project).stdout.splitlines() == [
        "['src/', 'src/app.py']",
        "True",
        "built",
        "['python'] ['/app/app.pyc'] nobody",
        "42",
        "",
    ]
    assert os.listdir(out) == ["app.pyc"]


def test_services_reach_each_other_and_the_client(engine_bin: Path, tmp_path: Path) -> None:
    body = """
    import http.server

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the client's " + self.path.encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]

    async def main():
        async with dagger.connection():
            inner = web("inner " + FRESH)
            script = "import http.server as h, urllib.request as u\\n"
            script += "class P(h.BaseHTTPRequestHandler):\\n def do_GET(s):\\n"
            script += "  s.send_response(200); s.end_headers()\\n"
            script += "  s.wfile.write(u.urlopen('http://in:8080').read())\\n"
            script += "h.HTTPServer(('', 80), P).serve_forever()"
            outer = (
                python()
                .with_service_binding("in", inner)
                .with_exposed_port(80)
                .as_service(args=["python", "-c", script])
            )
            mine = dag.host().service([dagger.PortForward(backend=port, frontend=81)])
            client = python().with_service_binding("out", outer).with_service_binding("mine", mine)
            for url in ("http://out", "http://mine:81/page"):
                print((await client.with_exec(["python", "-c", ASK, url]).stdout()).strip())
            print(await dag.http(f"http://localhost:{port}/file.txt").contents())
            async with anyio.create_task_group() as group:
                forward = dagger.PortForward(backend=80, frontend=0)
                tunnel = await dag.host().tunnel(outer, ports=[forward]).start()
                url = await tunnel.endpoint(scheme="http")
                print(await anyio.to_thread.run_sync(read, url))
                await tunnel.stop()
            try:
                print(await anyio.to_thread.run_sync(read, url))
            except OSError:
                print("closed")
        server.shutdown()
    """
    fresh = str(time.time_ns())
    assert run(body, engine_bin, tmp_path, {"FRESH": fresh}).stdout.splitlines() == [
        f"inner {fresh}",
        "the client's /page",
        "the client's /file.txt",
        f"inner {fresh}",
        "closed",
    ]


def test_matrix_has_all_its_results_where_one_fails(engine_bin: Path, tmp_path: Path) -> None:
    body = """
    async def main():
        results = {}

        async def test(version):
            made = debian().with_env_variable("VERSION", version)
            try:
                command = "echo testing $VERSION; sleep 0.3; test $VERSION != 3.12 || exit 7"
                out = await made.with_exec(["sh", "-c", command]).stdout()
                results[version] = out.strip()
            except dagger.ExecError as error:
                results[version] = f"{error} {error.exit_code} {error.stdout}"

        async with dagger.connection():
            async with anyio.create_task_group() as group:
                for version in ("3.10", "3.11", "3.12", "3.13"):
                    group.start_soon(test, version)
            report = await debian().with_exec(
                ["sh", "-c", "echo part > /report; exit 1"], expect=dagger.ReturnType.ANY
            ).file("/report").contents()
        print(*sorted(results.items()), report, sep="\\n", end="")
    """
    assert run(body, engine_bin, tmp_path).stdout.splitlines() == [
        "('3.10', 'testing 3.10')",
        "('3.11', 'testing 3.11')",
        "('3.12', 'exit code: 7 7 testing 3.12')",
        "('3.13', 'testing 3.13')",
        "part",
    ]


def test_dockerfile_is_built_with_a_secret_that_nobody_sees(
    engine_bin: Path, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(textwrap.dedent("""\
        # syntax=docker/dockerfile:1
        FROM debian:bookworm-slim AS build
        ARG WHO=nobody
        COPY app.txt /app/
        RUN --mount=type=secret,id=token cat /run/secrets/token
        RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /size
        RUN <<EOF
        echo hello $WHO >> /app/app.txt
        EOF
        FROM debian:bookworm-slim AS final
        COPY --from=build /app /size /app/
        CMD ["cat", "/app/app.txt"]
        FROM final AS unwanted
        RUN false
        """))
    (tmp_path / "app.txt").write_text(f"{time.time_ns()}\n")
    body = """
    async def main():
        log = io.StringIO()
        async with dagger.connection(dagger.Config(log_output=log)):
            image = dag.host().directory(".").docker_build(
                target="final",
                build_args=[dagger.BuildArg("WHO", "me")],
                secrets=[dag.set_secret("token", os.environ["TOKEN"])],
            )
            print((await image.with_exec([]).stdout()).splitlines()[1])
            print((await image.file("/app/size").contents()).strip())
            used = debian().with_secret_variable("TOKEN", dag.secret("env://TOKEN"))
            print(await used.with_exec(["sh", "-c", "echo $TOKEN; echo ${#TOKEN}"]).stdout())
            try:
                await used.with_exec(["sh", "-c", "echo $TOKEN >&2; exit 1"])
            except dagger.ExecError as error:
                print(error.stderr)
        print(log.getvalue())
    """
    done = run(body, engine_bin, tmp_path, {"TOKEN": "hunter2-hunter2"})
    assert done.stdout.splitlines()[:5] == ["hello me", "15", "***", "15", ""]
    assert "| ***" in done.stdout and "hunter2" not in done.stdout + done.stderr


def test_command_runs_again_for_another_value_of_the_same_source(
    engine_bin: Path, tmp_path: Path
) -> None:
    body = """
    async def main():
        async with dagger.connection():
            for key in (None, "one"):
                token = dag.secret("env://TOKEN", cache_key=key)
                uses = debian().with_secret_variable("TOKEN", token)
                ran = uses.with_exec(["cat", "/proc/sys/kernel/random/uuid"])
                print(await ran.stdout(), end="")
    """

    def ran(token: str) -> list[str]:
        env = {"FRESH": fresh, "TOKEN": token}
        return run(body, engine_bin, tmp_path, env).stdout.splitlines()

    fresh = str(time.time_ns())
    first = ran("first-value")
    assert ran("first-value") == first
    by_value, by_key = ran("second-value")
    assert by_value != first[0]
    assert by_key == first[1]


def test_log_output_shows_commands_and_nothing_is_shown_without_it(
    engine_bin: Path, tmp_path: Path
) -> None:
    body = """
    async def main():
        for log in (sys.stderr, None):
            async with dagger.connection(dagger.Config(log_output=log)):
                made = debian().with_env_variable("LOG", str(log))
                await made.with_exec(["sh", "-c", "echo compiling; echo careful >&2"])
                try:
                    await made.with_exec(["sh", "-c", "echo testing; exit 3"])
                except dagger.ExecError as error:
                    print(error)
    """
    done = run(body, engine_bin, tmp_path)
    assert done.stdout.splitlines() == ["exit code: 3"] * 2
    told = [line.partition(" : ")[2].partition("] | ")[2] for line in done.stderr.splitlines()]
    assert [word for word in told if word] == ["compiling", "careful", "testing"]
    assert "sh -c 'echo testing; exit 3' ERROR" in done.stderr


def test_cancelled_work_ends_and_the_connection_goes_on(engine_bin: Path, tmp_path: Path) -> None:
    body = """
    async def main():
        async with dagger.connection():
            mounted = debian().with_mounted_cache("/c", dag.cache_volume("cancel-" + FRESH))
            scope = anyio.CancelScope()

            async def work():
                with scope:
                    command = "trap 'touch /c/told; exit 1' TERM; touch /c/began; sleep 99 & wait"
                    await mounted.with_exec(["sh", "-c", command])
                print(scope.cancelled_caught)

            def until(name):
                waiting = f"until [ -e /c/{name} ]; do sleep 0.1; done"
                return mounted.with_exec(["sh", "-c", waiting])

            async with anyio.create_task_group() as group:
                group.start_soon(work)
                await until("began")
                scope.cancel()
            print(await until("told").with_exec(["ls", "/c"]).stdout(), end="")
    """
    assert run(body, engine_bin, tmp_path).stdout.split() == ["True", "began", "told"]


def test_connections_side_by_side_and_in_threads(engine_bin: Path, tmp_path: Path) -> None:
    body = """
    def work(number):
        async def ask():
            async with dagger.Connection() as client:
                made = client.container().from_("debian:bookworm-slim")
                return await made.with_exec(["echo", f"thread {number} {FRESH}"]).stdout()
        print(anyio.run(ask).rpartition(" ")[0])

    async def main():
        async with dagger.Connection() as one, dagger.Connection() as two:
            for client in (one, two):
                made = client.container().from_("debian:bookworm-slim")
                made = made.with_env_variable("FRESH", FRESH)
                print(await made.with_exec(["echo", "a client"]).stdout(), end="")
            try:
                file = one.directory().with_new_file("f", "").file("f")
                await two.directory().with_file("f", file)
            except dagger.QueryError as error:
                print(str(error).partition("'")[0])
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    lines = run(body, engine_bin, tmp_path).stdout.splitlines()
    assert lines[:3] == ["a client", "a client", "unknown ID "]
    assert sorted(lines[3:]) == ["thread 0", "thread 1", "thread 2"]


def test_image_for_another_machine_is_no_stand_in_of_this_one(
    engine_bin: Path, tmp_path: Path
) -> None:
    body = """
    async def main():
        async with dagger.connection():
            other = "linux/s390x"
            made = dag.container(platform=dagger.Platform(other)).from_("debian:bookworm-slim")
            try:
                await made
                print(await made.platform())  # its registry was reached
            except dagger.QueryError as error:
                print(error)
    """
    said = run(body, engine_bin, tmp_path).stdout.strip()
    assert said == "linux/s390x" or (
        said.startswith("debian:bookworm-slim for linux/s390x: the registry cannot be reached (")
        and said.endswith(f"its stand-in is for linux/{_machine()} alone")
    )


def _machine() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
