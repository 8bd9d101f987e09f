"""A session of the embedded engine, for tests that ask it one question after the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import dagger
import pytest

from ci import embedded
from tests.images.recipes import IMAGES, ROOT

Ask = Callable[[Callable[[dagger.Client], Coroutine[Any, Any, Any]]], Any]


@contextlib.contextmanager
def embedded_session(folder: Path, images: Path = IMAGES) -> Iterator[Ask]:
    """Runs coroutine functions on one client; the engine ends with the context."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in embedded.variables(ROOT, os.environ, folder / "events.jsonl").items():
            patch.setenv(name, value)
        patch.setenv("BREWLINE_IMAGES", str(images))
        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(dagger.Connection()) as client,
        ):
            yield lambda question: portal.call(question, client)
