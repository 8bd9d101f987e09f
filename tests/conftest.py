"""How many examples a property is tried with: fewer in a quick run than in the self-test."""

from __future__ import annotations

import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    # Before the tests are imported: their own settings start from these.
    quick = "not slow" in config.getoption("markexpr")
    settings.register_profile("brewline", deadline=None, max_examples=20 if quick else 100)
    settings.load_profile("brewline")
