"""`selftest`: the project's own tests, in the environment that a contributor has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ci import embedded, registry
from ci.command_line import Options
from ci.environment import Environment
from ci.errors import BrewlineError
from engine import requirements


def main(options: Options, root: Path) -> int:
    """Run pytest over `tests/`; its closing line is the last one printed. 0 or 1."""
    try:
        # Tests that run true containers leave themselves out where these are missing.
        embedded.require_packages(_say, requirements.TEST_PACKAGES)
        registry.program(os.environ, _say)
    except BrewlineError as error:
        _say(error.message)
    environment = Environment.of("dev", root, os.environ)
    environment.make(_say, os.environ)
    marks = [] if options.soak else ["-m", "not soak"]
    command = [str(environment.python), "-m", "pytest", *marks, "tests"]
    path = f"{environment.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(command, cwd=root, env={**os.environ, "PATH": path}, check=False)
    return 0 if done.returncode == 0 else 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
