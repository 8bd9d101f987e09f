"""What each mapped task of the transform costs: the figures from which a larger run is reckoned.

    python -m benchmarks.scale_out [--rows 2000000] [--folder EMPTY_FOLDER]

Each task is a process of its own, one after the other, as workers with one processor would run it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lakehouse.breweries import RUN, generate
from pipeline import steps
from pipeline.lake import Lake


def main() -> None:
    """Take the steps from bronze to gold, and print processor time, memory and bytes of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(take(*arguments.task)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        lake = str(Path(folder, "lake"))
        generate(Lake.at(lake), arguments.rows)
        report(lake, arguments.rows)


def report(lake: str, rows: int) -> None:
    """Run every task and print a line for each step, and the bytes of each layer."""
    costs: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def run(step: str, **task: int) -> Any:
        command = [sys.executable, "-m", "benchmarks.scale_out", "--task", lake, step]
        done = subprocess.run([*command, json.dumps(task)], stdout=subprocess.PIPE, check=True)
        costs[step].append(json.loads(done.stdout))
        return costs[step][-1]["result"]

    for pages in run("silver_ranges"):
        run("clean", **pages)
    staged = size(lake, "silver")
    for bucket in run("silver_buckets"):
        run("merge", **bucket)
    run("seal")
    run("gold")
    print("| step | tasks | CPU s a task | peak MiB a task |\n|---|--:|--:|--:|")
    for step, taken in costs.items():
        cpu, peak = (median(one[name] for one in taken) for name in ("cpu", "mib"))
        print(f"| {step} | {len(taken)} | {cpu:.1f} | {peak:.0f} |")
    layers = {"bronze": size(lake, "bronze"), "staged": staged, "silver": size(lake, "silver")}
    print("bytes a row:", ", ".join(f"{name} {bytes / rows:.0f}" for name, bytes in layers.items()))


def take(lake: str, step: str, task: str) -> dict[str, Any]:
    """One task in this process: its result and what it took."""
    result = getattr(steps, step)(lake=lake, run_id=RUN, **json.loads(task))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "result": result,
        "cpu": used.ru_utime + used.ru_stime,
        "mib": used.ru_maxrss / 1024,
    }


def size(lake: str, layer: str) -> int:
    """Bytes of all files of a layer."""
    return sum(path.stat().st_size for path in Path(lake, layer).rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
