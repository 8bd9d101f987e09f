"""`selftest`: the project's own tests, in the environment that a contributor has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ci.command_line import Options
from ci.environment import Environment


def main(options: Options, root: Path) -> int:
    """Run pytest over `tests/`; its closing line is the last one printed. 0 or 1."""
    environment = Environment.of("dev", root, os.environ)
    environment.make(lambda line: print(line, file=sys.stderr, flush=True), os.environ)
    marks = [] if options.soak else ["-m", "not soak"]
    command = [str(environment.python), "-m", "pytest", *marks, "tests"]
    path = f"{environment.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(command, cwd=root, env={**os.environ, "PATH": path}, check=False)
    return 0 if done.returncode == 0 else 1
