"""A real API server on loopback, and lakes made from it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline import source, steps
from pipeline.lake import Lake
from pipeline.rate import shared_limit
from pipeline.retry import Retry
from tests.brewery_api.breweries import Brewery, generate
from tests.brewery_api.server import BreweryServer, serving

# Long enough to be a wait, short enough for a test.
QUICK = Retry(attempts=4, first_wait=0.01, max_wait=1.0, per_request=10.0)
SMALL = 450

Serve = Callable[..., BreweryServer]


@pytest.fixture(scope="session")
def small_rows() -> list[Brewery]:
    return generate(SMALL, seed=7)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that live as long as the test."""
    with ExitStack() as stack:

        def start(rows: list[Brewery], *, too_many_every: int = 0) -> BreweryServer:
            server = BreweryServer(
                ("127.0.0.1", 0), rows, too_many_every=too_many_every, retry_after="0"
            )
            return stack.enter_context(serving(server))

        yield start


@pytest.fixture
def api(serve: Serve, small_rows: list[Brewery]) -> BreweryServer:
    return serve(small_rows)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "DEFAULT_RETRY", QUICK)


@pytest.fixture(autouse=True)
def rate_of_its_own() -> None:
    # A later test's server may have the port of an earlier one.
    shared_limit.cache_clear()


@pytest.fixture(scope="session")
def good_lake(tmp_path_factory: pytest.TempPathFactory, small_rows: list[Brewery]) -> Path:
    """A lake with the committed run `good`; copy it, do not change it."""
    lake = tmp_path_factory.mktemp("lake")
    server = BreweryServer(("127.0.0.1", 0), small_rows, too_many_every=0)
    with serving(server):
        steps.run(api=server.url, lake=str(lake), run_id="good")
    return lake


@pytest.fixture
def lake(good_lake: Path, tmp_path: Path) -> Path:
    """A copy of the good lake for a test to damage or to add to."""
    return Path(shutil.copytree(good_lake, tmp_path / "lake"))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    # Imported here: moto takes two seconds, and needs what not every place has.
    pytest.importorskip("moto.server")
    from tests.pipeline.s3 import serving_s3

    with serving_s3() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a bucket of its own on a real S3 server, which the environment points at."""
    from tests.pipeline.s3 import CREDENTIALS, make_bucket

    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": s3_endpoint}).items():
        monkeypatch.setenv(name, value)
    return make_bucket(s3_endpoint, f"lake-{uuid.uuid4()}")


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def any_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """An empty lake on each kind of file system."""
    urls = {
        "file": lambda: f"file://{tmp_path}/lake/",
        "memory": lambda: f"memory://lake-{uuid.uuid4()}",
        "s3": lambda: f"{request.getfixturevalue('bucket')}/lake",
    }
    return Lake.at(urls[request.param]())
