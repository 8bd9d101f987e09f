"""The launcher of this tree's engine, as the SDK takes it, and a client that it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dagger
import pytest

from engine import requirements
from engine.launcher import script

ROOT = Path(__file__).parents[2]


def launcher(folder: Path) -> Path:
    """The engine of this tree as one executable file; the test is skipped where it cannot run.

    It uses the user's ordinary store unless BREWLINE_STORE is set: stand-in images made once
    serve every run.
    """
    if os.geteuid() != 0:
        pytest.skip("the embedded engine needs root")
    if lacking := requirements.missing():
        pytest.skip(f"the embedded engine lacks: apt-get install {' '.join(lacking)}")
    path = folder / "engine"
    variables = {"BREWLINE_IMAGES": str(ROOT / "images")}
    path.write_text(script(ROOT, sys.executable, path.parent / "bytecode", variables))
    path.chmod(0o755)
    return path


@asynccontextmanager
async def connected(engine: Path) -> AsyncIterator[dagger.Client]:
    """A client of an engine of its own, of which the SDK is told as of any other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_EXPERIMENTAL_DAGGER_CLI_BIN", str(engine))
        for name in ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        async with dagger.Connection(dagger.Config(retry=None)) as client:
            yield client
