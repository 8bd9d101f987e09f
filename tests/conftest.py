"""What tests of all folders share: how often a property is tried, and a registry's program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from ci import registry
from ci.errors import InfrastructureError


def pytest_configure(config: pytest.Config) -> None:
    # Fewer examples in a quick run than in the self-test, and before the tests are imported: their
    # own settings start from these.
    quick = "not slow" in config.getoption("markexpr")
    settings.register_profile("brewline", deadline=None, max_examples=20 if quick else 100)
    settings.load_profile("brewline")


@pytest.fixture(scope="session")
def registry_program() -> Path:
    """Debian's docker-registry; got from Debian's archive where it is not installed."""
    try:
        return registry.program(os.environ, print)
    except InfrastructureError as error:
        pytest.skip(error.message)
