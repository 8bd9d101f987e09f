"""A true engine for tests that ask one: the launcher that the SDK starts, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import dagger
import pytest

from tests.engine import tiny
from tests.engine.connection import connected, launcher


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop of the tests' clients: a connection does not move between loops."""
    return "asyncio"


@pytest.fixture(scope="session")
def engine_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine of this tree as one executable file, as the SDK takes it."""
    return launcher(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="package")
async def dag(engine_bin: Path, anyio_backend: str) -> AsyncIterator[dagger.Client]:
    """A client of one engine, which all tests that ask nothing special of it share.

    It ends with this package: as long as it lives, no other test can run an event loop.
    """
    async with connected(engine_bin) as client:
        yield client


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system that needs no image, for tests that want a store of their own."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.make(folder)
    return folder
