"""What tests of all folders share: how often a property is tried, and a registry's program."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from ci import registry
from ci.errors import InfrastructureError


def pytest_configure(config: pytest.Config) -> None:
    # Fewer examples in a quick run than in the self-test, and before the tests are imported: their
    # own settings start from these.
    marks = config.getoption("markexpr")
    settings.register_profile(
        "brewline",
        deadline=None,
        max_examples=20 if "not slow" in marks else 100,
        # The same tree is judged alike twice; what is new is looked for in the soak runs.
        derandomize="not soak" in marks,
    )
    settings.load_profile("brewline")
    # What is started in the background, or by nohup, inherits that these are ignored, and so would
    # every program that a test starts and then ends by one of them.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            ours = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, ours)


@pytest.fixture(scope="session")
def registry_program() -> Path:
    """Debian's docker-registry; got from Debian's archive where it is not installed."""
    try:
        return registry.program(os.environ, print)
    except InfrastructureError as error:
        pytest.skip(error.message)
