"""Time what a program does with the embedded engine, beside the real one's recorded medians.

    python -m benchmarks.engine [-n RUNS] [--image python:3.11-slim]

Every measurement is a fresh process that connects anew. The medians of the real Dagger engine
v0.21.8 are those of a machine with two cores like the one that this was written on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHAIN = 20
FILES = 2000

# Seconds: medians of three runs of the real engine on two cores.
REAL = {
    "connect": 0.4072,
    "first exec": 0.1172,
    "chain of 20, cold": 1.9914,
    "chain of 20, warm": 0.0321,
    "8 sleeps of 0.5 s": 0.901,
    "2,000 files, cold": 0.4325,
    "2,000 files, unchanged": 0.1401,
    "2,000 files, one changed": 0.3343,
    "service round trip": 0.5011,
}


async def measure(name: str, image: str, seed: str, folder: Path) -> float:
    """Seconds of one kind of work in this process, without the connection unless it is that."""
    import anyio
    import dagger
    from dagger import dag

    def base() -> dagger.Container:
        return dag.container().from_(image).with_env_variable("SEED", seed)

    async def connect() -> None:
        """Nothing: the connection is what is timed."""

    async def first() -> None:
        await base().with_exec(["true"]).sync()

    async def chain() -> None:
        container = base()
        for number in range(CHAIN):
            container = container.with_exec(["true", f"{seed}-{number}"])
        await container.sync()

    async def sleeps() -> None:
        async def one(number: int) -> None:
            await base().with_exec(["sh", "-c", f"sleep 0.5; : {number}"]).sync()

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(one, number)

    async def files() -> None:
        tree = base().with_directory("/src", dag.host().directory(str(folder)))
        count = await tree.with_exec(["sh", "-c", "find /src -type f | wc -l"]).stdout()
        if int(count) != FILES:
            raise RuntimeError(f"{count} files arrived")

    async def service() -> None:
        server = (
            base()
            .with_new_file("/srv/index.txt", seed)
            .with_workdir("/srv")
            .with_exposed_port(8000)
            .as_service(args=["python3", "-m", "http.server", "8000"])
        )
        code = "import urllib.request as r;print(r.urlopen('http://web:8000/index.txt').read())"
        client = base().with_service_binding("web", server)
        if seed not in await client.with_exec(["python3", "-c", code]).stdout():
            raise RuntimeError("wrong answer")

    work: dict[str, Callable[[], Awaitable[None]]] = {
        "connect": connect,
        "first exec": first,
        "chain of 20, cold": chain,
        "chain of 20, warm": chain,
        "8 sleeps of 0.5 s": sleeps,
        "2,000 files, cold": files,
        "2,000 files, unchanged": files,
        "2,000 files, one changed": files,
        "service round trip": service,
    }
    started = time.perf_counter()
    async with dagger.connection():
        if name != "connect":
            started = time.perf_counter()
        await work[name]()
        return time.perf_counter() - started


def one_run(image: str) -> dict[str, float]:
    """Every measurement once, each in a process of its own."""
    seed = uuid.uuid4().hex
    times = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for number in range(FILES):
            path = folder / f"d{number // 100:02}" / f"f{number:04}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{seed} {number}\n")
        for kind in REAL:
            if kind == "2,000 files, one changed":
                (folder / "d07" / "f0777.txt").write_text("changed\n")
            command = [sys.executable, "-m", "benchmarks.engine", "--measure", kind]
            command += ["--seed", seed, "--folder", str(folder), "--image", image]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{kind} failed:\n{done.stderr[-2000:]}")
            times[kind] = float(json.loads(done.stdout.splitlines()[-1]))
    return times


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=3, help="runs; medians are printed")
    parser.add_argument("--image", default="python:3.11-slim")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--seed", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        import anyio

        work = (options.measure, options.image, options.seed, options.folder)
        print(json.dumps(anyio.run(measure, *work)))
        return
    if not {"_EXPERIMENTAL_DAGGER_CLI_BIN", "DAGGER_SESSION_PORT"} & set(os.environ):
        sys.exit("run it as: python ci/main.py engine run -- python -m benchmarks.engine")
    runs = [one_run(options.image) for _ in range(options.n)]
    print(f"{'':26}{'embedded':>10}{'real':>10}{'ratio':>8}")
    for kind, real in REAL.items():
        ours = statistics.median(run[kind] for run in runs)
        print(f"{kind:26}{ours * 1000:8.0f} ms{real * 1000:7.0f} ms{ours / real:8.2f}")


if __name__ == "__main__":
    main()
