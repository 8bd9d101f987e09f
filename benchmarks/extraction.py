"""Time the extraction of a whole source from a server on loopback, without a rate limit.

    python -m benchmarks.extraction [--csv FILE | --rows N] [--jobs N …] [-n RUNS]

The server is a process of its own. Counted are the source's meta data before and after, every page,
and bronze in the lake with its manifest: medians of so many runs, each into a new lake.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import steps
from pipeline.rate import DEFAULT_JOBS

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def serving(source: list[str]) -> Iterator[str]:
    """The URL of a server of these breweries, while the block runs."""
    command = [sys.executable, "-m", "tests.brewery_api", "--port", "0", "--too-many-every", "0"]
    with subprocess.Popen(
        [*command, *source], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                sys.exit("the server did not start")
            yield line.split()[-1]
        finally:
            process.terminate()


def timed(api: str, jobs: int) -> tuple[float, dict[str, int]]:
    """Seconds of one extraction into a new lake, and what landed."""
    with tempfile.TemporaryDirectory() as lake:
        started = time.perf_counter()
        for pages in steps.plan(api=api, lake=lake, run_id="r", tasks=1, rate=0, jobs=jobs):
            steps.extract(lake=lake, run_id="r", **pages)
        landed = steps.manifest(lake=lake, run_id="r")
        return time.perf_counter() - started, landed


def main() -> None:
    """Measure and print a line for each number of pages at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", default=os.environ.get("BREWERY_CSV"), help="serve this file")
    parser.add_argument("--rows", type=int, default=12_000, help="generate this many otherwise")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, DEFAULT_JOBS])
    parser.add_argument("-n", type=int, default=5, help="runs of each kind")
    options = parser.parse_args()
    source = ["--csv", options.csv] if options.csv else ["--rows", str(options.rows)]
    with serving(source) as api:
        for jobs in options.jobs:
            runs = [timed(api, jobs) for _ in range(options.n)]
            seconds, landed = statistics.median(run[0] for run in runs), runs[0][1]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(
                f"{jobs} at once: {landed['pages']} pages, {landed['rows']} rows in "
                f"{seconds:.2f} s; {peak} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
