"""What a registry holds, asked without the engine."""

from __future__ import annotations

import contextlib
import io
import json
import re
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagger
import pytest

from tests.engine import program
from tests.engine.machine import wait_until

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def manifest(reference: str) -> Any:
    """The manifest or index of `host:port/name:tag` or `host:port/name…@digest`."""
    host, _, rest = reference.partition("/")
    name, at, digest = rest.partition("@")
    name, _, tag = name.partition(":")
    url = f"http://{host}/v2/{name}/manifests/{digest if at else tag}"
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def config(reference: str) -> Any:
    """The configuration of an image that is no index."""
    host, _, rest = reference.partition("/")
    name = re.split("[:@]", rest)[0]
    digest = manifest(reference)["config"]["digest"]
    with urllib.request.urlopen(f"http://{host}/v2/{name}/blobs/{digest}", timeout=10) as answer:
        return json.load(answer)


def requests(folder: Path, pattern: str, expected: int) -> int:
    """How many requests of a registry's log match, which it writes after it has answered."""

    def found() -> int:
        return len(re.findall(pattern, (folder / "registry.log").read_text()))

    wait_until(lambda: found() >= expected, 20)
    return found()


SENT = r'"PUT /v2/\S+/blobs/uploads/\S+ HTTP/1.1" 201'
FETCHED = r'"GET /v2/\S+/blobs/\S+ HTTP/1.1" 200'


def blob(folder: Path, digest: str) -> Path:
    """The file in which a registry keeps a blob."""
    word = digest.removeprefix("sha256:")
    return folder / f"registry/docker/registry/v2/blobs/sha256/{word[:2]}/{word}/data"


_FRAME = """
R = os.environ["R"]
def fresh():
    return dag.container().with_new_file("/nonce", os.environ["NONCE"])
"""


def printed(body: str, engine: Path, env: Mapping[str, str]) -> list[str]:
    """The lines that a program prints; `R` in it is the registry.

    It has an engine of its own, and runs in this process: to import the SDK is slow. Its thread is
    its own, for an event loop of other tests may wait in this one.
    """
    own = {**env, "_EXPERIMENTAL_DAGGER_CLI_BIN": str(engine)}
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        for name in ("DAGGER_SESSION_PORT", "DAGGER_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in own.items():
            patch.setenv(name, value)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(exec, program.source(_FRAME + body), {}).result()
    return out.getvalue().splitlines()


def failure(body: str, engine: Path, env: Mapping[str, str]) -> str:
    """The error with which such a program ends."""
    with pytest.raises(dagger.QueryError) as caught:
        printed(body, engine, env)
    return str(caught.value)
