"""Time the transform of generated rows beside DuckDB and Polars, and compare what they make.

    python -m benchmarks.lakehouse [--rows 10000 1000000] [--times 3] [--folder EMPTY_FOLDER]

Each run is a process of its own, the engines take turns, and figures are medians.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lakehouse.breweries import generate, pages
from pipeline.lake import Lake

ENGINES = ("ours", "duckdb", "polars")
MEASURES = ("seconds", "cpu", "mib")


def main() -> None:
    """Measure each number of rows and print a table of it; exit 1 if results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--times", type=int, default=3, help="runs of each engine")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(arguments.engine, arguments.folder)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        same = [compare(rows, arguments.times, Path(folder)) for rows in arguments.rows]
    sys.exit(0 if all(same) else 1)


def compare(rows: int, times: int, folder: Path) -> bool:
    """Run all engines on so many rows and print a line of each; whether their results agree."""
    generate(Lake.at(str(folder / "lake")), rows)
    runs: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    results: dict[str, object] = {}
    for _ in range(times):
        for engine in ENGINES:
            command = [sys.executable, "-m", "benchmarks.lakehouse", "--engine", engine]
            done = subprocess.run(
                [*command, "--folder", str(folder)], stdout=subprocess.PIPE, text=True, check=True
            )
            found = json.loads(done.stdout)
            results[engine] = found.pop("results")
            runs[engine].append(found)
    medians = {
        engine: {name: statistics.median(run[name] for run in runs[engine]) for name in MEASURES}
        for engine in ENGINES
    }
    fastest = min(medians[engine]["seconds"] for engine in ENGINES[1:])
    print(f"{rows:,} rows, median of {times}; ratio to the faster of DuckDB and Polars")
    for engine, median in medians.items():
        print(
            f"  {engine:7} {median['seconds']:8.2f} s {median['cpu']:8.2f} s of CPU "
            f"{median['mib']:7.0f} MiB  ratio {median['seconds'] / fastest:.2f}"
        )
    same = all(result == results["ours"] for result in results.values())
    print(f"  results {'are equal' if same else f'differ: {results}'}", flush=True)
    shutil.rmtree(folder / "lake")
    return same


def measure(engine: str, folder: Path) -> dict[str, object]:
    """One run: seconds, CPU seconds and peak memory of the work alone, and a digest of results."""
    from benchmarks.lakehouse import by_duckdb, by_polars, ours, results

    lake = Lake.at(str(folder / "lake"))
    output = folder / engine
    output.mkdir()
    inputs = pages(lake)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    if engine == "ours":
        ours.run(lake)
    else:
        (by_duckdb if engine == "duckdb" else by_polars).run(inputs, output)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    found: dict[str, object] = {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "mib": after.ru_maxrss / 1024,
        "results": results.digest(lake, None if engine == "ours" else output),
    }
    shutil.rmtree(output)
    return found


if __name__ == "__main__":
    main()
