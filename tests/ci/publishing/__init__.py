"""Publishing, with a registry that is as real as the one on the other side of the world."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from ci.publishing.access import ask
from ci.publishing.destination import Destination
from ci.publishing.images import REVISION, SOURCE, Published, read
from engine.registry.repository import Repository
from engine.registry.transport import Limits

T = TypeVar("T")

USER = "alice"
PASSWORD = "w0nderland"
# What bcrypt makes of it.
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuulNkXT5.5.iXH4MBrjZ6oXLeOPqpdoPy\n"
COMMIT = "abcdef0123456789abcdef0123456789abcdef01"
OURS = "https://github.com/our/product"


QUICK = Limits(tries=2, pause=0.01)


def within(
    where: Destination, work: Callable[[Repository], T], *, limits: Limits | None = QUICK
) -> T:
    """What work in a repository comes to."""

    async def run() -> T:
        return await ask(where, work, push=True, limits=limits)

    return anyio.run(run)


def untold(commit: str, ancestor: str) -> bool | None:
    """The order of commits as a clone that holds one commit knows it."""
    return None


def committed(tree: Path, files: Mapping[str, str]) -> Path:
    """A tree on main whose files are committed; the test is skipped where there is no git."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "All"]):
        git(tree, *words)
    return tree


def git(tree: Path, *words: str) -> str:
    """What a git command in a tree says."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tree), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def image(
    repository: Repository,
    tag: str,
    *,
    content: str = "one",
    labels: Mapping[str, str] | None = None,
) -> Published:
    """Push an image of one file, labelled as the build stage labels it."""
    layer = _layer(content)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {REVISION: COMMIT, SOURCE: OURS, **(labels or {})}},
            "rootfs": {"type": "layers", "diff_ids": [digest(gzip.decompress(layer))]},
        }
    ).encode()
    for blob in (layer, config):
        repository.upload(digest(blob), blob)
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    }
    repository.put_manifest(tag, kind, json.dumps(manifest).encode())
    found = read(repository, tag)
    assert found
    return found


def digest(data: bytes) -> str:
    """The digest of a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(content: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content.encode()))
    return gzip.compress(packed.getvalue(), mtime=0)


def _descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}
