"""The containers that the cases of the API start from."""

from __future__ import annotations

import dagger
import pytest

IMAGE = "python:3.11-slim-bookworm"


@pytest.fixture
def base(dag: dagger.Client) -> dagger.Container:
    """A container with a shell and Python, running as root."""
    return dag.container().from_(IMAGE)
