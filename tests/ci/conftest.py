"""What tests of all parts of the CI program share: to be no part of the run that tests them."""

from __future__ import annotations

import os

import pytest

_OF_A_RUN = ("DAGGER_SESSION", "GITHUB_", "BREWLINE_REGISTRY", "BREWLINE_SIGN")


@pytest.fixture
def on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, branch, login or key of the run that tests us decides anything here."""
    for name in list(os.environ):
        if name.startswith(_OF_A_RUN):
            monkeypatch.delenv(name)
