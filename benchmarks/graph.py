"""Time the whole graph as a user sees it: a first run, one with nothing changed, one with a change.

    python -m benchmarks.graph [--store EMPTY_FOLDER] [-n RUNS]

`all` runs in a copy of the repository. With --store the embedded engine begins with that store and
the Python environment is made anew, so that the first run is that of a fresh machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def timed(copy: Path, env: dict[str, str]) -> tuple[float, dict[str, object]]:
    """Seconds and report of one `all`; ends the program if it fails."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "ci/main.py", "all"], cwd=copy, env=env, text=True, capture_output=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(
            f"`all` failed with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    return seconds, json.loads((copy / "reports/summary.json").read_text())


def change_a_line(copy: Path, text: str) -> None:
    """Change the data product as a developer would, without changing what it does."""
    module = copy / "pipeline/gold.py"
    first = "from __future__"
    module.write_text(module.read_text().replace(first, f"# {text}\n{first}", 1))


def stages(report: dict[str, object]) -> str:
    """Seconds of each stage that ran."""
    found = report["stages"]
    assert isinstance(found, list)
    return " ".join(
        f"{s['name']} {s['seconds']:.1f}{' (cached)' if s['cached'] else ''}"
        for s in found
        if s["status"] == "passed"
    )


def main() -> None:
    """Measure and print a line for each kind of run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="an empty folder for the engine's store")
    parser.add_argument("-n", type=int, default=3, help="runs of each kind after the first")
    options = parser.parse_args()
    env = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        if options.store:
            env["BREWLINE_STORE"] = str(options.store)
            env["XDG_CACHE_HOME"] = f"{folder}/cache"
        copy = Path(folder) / "brewline"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
        seconds, report = timed(copy, env)
        print(f"first            {seconds:7.1f} s  {stages(report)}", flush=True)
        kinds: dict[str, list[float]] = {"unchanged": [], "no reports": [], "changed line": []}
        for number in range(options.n):
            for kind, times in kinds.items():
                if kind == "no reports":
                    shutil.rmtree(copy / "reports")
                if kind == "changed line":
                    change_a_line(copy, f"change {number} {time.time_ns()}")
                seconds, report = timed(copy, env)
                times.append(seconds)
                print(f"{kind:16} {seconds:7.1f} s  {stages(report)}", flush=True)
        for kind, times in kinds.items():
            print(f"median {kind:16} {statistics.median(times):7.1f} s")


if __name__ == "__main__":
    main()
