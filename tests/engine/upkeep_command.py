"""The engine's commands for its store, run as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.engine.connection import ROOT


def run(store: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `engine ARGUMENTS` on a store."""
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=ROOT,
        env={**os.environ, "BREWLINE_STORE": str(store), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
