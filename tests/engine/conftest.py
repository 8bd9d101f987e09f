"""A true engine for tests that ask one: the launcher that the SDK starts, and a client of it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import dagger
import pytest

from engine import requirements
from engine.launcher import script
from tests.engine import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop of the tests' clients: a connection does not move between loops."""
    return "asyncio"


@pytest.fixture(scope="session")
def engine_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine of this tree as one executable file, as the SDK takes it.

    It uses the user's ordinary store unless BREWLINE_STORE is set: stand-in images made once
    serve every run.
    """
    if os.geteuid() != 0:
        pytest.skip("the embedded engine needs root")
    if lacking := requirements.missing():
        pytest.skip(f"the embedded engine lacks: apt-get install {' '.join(lacking)}")
    path = tmp_path_factory.mktemp("engine") / "engine"
    variables = {"BREWLINE_IMAGES": str(ROOT / "images")}
    path.write_text(script(ROOT, sys.executable, path.parent / "bytecode", variables))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="package")
async def dag(engine_bin: Path, anyio_backend: str) -> AsyncIterator[dagger.Client]:
    """A client of one engine, which all tests that ask nothing special of it share.

    It ends with this package: as long as it lives, no other test can run an event loop.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_EXPERIMENTAL_DAGGER_CLI_BIN", str(engine_bin))
        for name in ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        async with dagger.Connection(dagger.Config(retry=None)) as client:
            yield client


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system that needs no image, for tests that want a store of their own."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.make(folder)
    return folder
