"""Immutable run folders behind any fsspec URL, and the pointer to the last good run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import LakeError, UsageError

__all__ = ["Lake", "lake_run_id", "utc_now"]

POINTER = "current.json"
# The pointer stays small however long the lake lives.
REMEMBERED_RUNS = 1000
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def utc_now() -> str:
    """The time now, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def lake_run_id(dag_run_id: str) -> str:
    """The lake's run id for an orchestrator's: the same text where a folder can have it."""
    if _RUN_ID.fullmatch(dag_run_id):
        return dag_run_id
    # A digest keeps two ids apart that differ only in characters a folder name cannot hold.
    digest = hashlib.sha256(dag_run_id.encode()).hexdigest()[:8]
    legal = re.sub(r"[^A-Za-z0-9._-]", "-", dag_run_id).lstrip("._-")[:100]
    return f"{legal or 'run'}-{digest}"


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake at one root; paths given to its methods are relative to that root."""

    fs: AbstractFileSystem
    root: str

    @classmethod
    def at(cls, url: str) -> Lake:
        """Open the lake at an fsspec URL or a plain path; nothing is read or made yet."""
        if not url.strip():
            raise UsageError(
                "The lake URL is empty: give a path or a URL such as file:///data/lake."
            )
        try:
            fs, root = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise UsageError(f"The lake URL {url!r} cannot be used: {error}.") from error
        return cls(fs, root.rstrip("/"))

    def path(self, *parts: str) -> str:
        """The full path on the lake's file system."""
        return "/".join((self.root, *parts))

    def folder(self, layer: str, run_id: str) -> str:
        """The folder of one layer of one run, relative to the root."""
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError(
                f"{run_id!r} is not a run id: use up to 128 letters, digits, '.', '_' and '-'."
            )
        return f"{layer}/run={run_id}"

    def exists(self, path: str) -> bool:
        return bool(self.fs.exists(self.path(path)))

    def read(self, path: str) -> bytes:
        """The bytes of one file; LakeError when it is not there."""
        try:
            return bytes(self.fs.cat_file(self.path(path)))
        except FileNotFoundError as error:
            raise LakeError(f"{path} is missing from the lake") from error

    def files(self, path: str) -> list[str]:
        """All files below a folder, sorted, relative to the root; none when there is no folder."""
        return sorted(file.removeprefix(f"{self.root}/") for file in self.fs.find(self.path(path)))

    def write(self, path: str, data: bytes) -> None:
        """Write one file, and the folders above it where the file system has such."""
        full = self.path(path)
        self.fs.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
        self.fs.pipe_file(full, data)

    def read_json(self, path: str) -> dict[str, Any]:
        """The JSON object in one file; LakeError when it is missing or damaged."""
        try:
            value = json.loads(self.read(path))
        except ValueError as error:
            raise LakeError(f"{path} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise LakeError(f"{path} is not a JSON object")
        return value

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        self.write(path, json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")

    def clear(self, path: str) -> None:
        """Remove what an earlier try of an uncommitted run left, if there is anything."""
        if self.exists(path):
            self.fs.rm(self.path(path), recursive=True)

    def committed_runs(self) -> list[str]:
        """The committed runs that the pointer remembers, newest first; empty for a new lake."""
        self.fs.invalidate_cache()
        if not self.exists(POINTER):
            return []
        try:
            runs = self.read_json(POINTER)["runs"]
        except (LakeError, KeyError) as error:
            raise _damaged_pointer(error) from error
        if not isinstance(runs, list) or not all(isinstance(run, str) for run in runs):
            raise _damaged_pointer(f"runs is {runs!r:.40}")
        return runs

    def current_run(self) -> str | None:
        """The run that readers should read: the last one committed."""
        return next(iter(self.committed_runs()), None)

    def require_uncommitted(self, run_id: str) -> None:
        """Refuse to touch a committed run, which never changes again, or what is no run id."""
        self.folder("bronze", run_id)
        if run_id in self.committed_runs():
            raise UsageError(
                f"Run {run_id} is already committed in this lake and never changes: "
                "give another run id."
            )

    def commit(self, run_id: str) -> None:
        """Point readers at this run; does nothing when it is committed already."""
        runs = self.committed_runs()
        if run_id in runs:
            return
        pointer = {
            "run_id": run_id,
            "committed_at": utc_now(),
            "runs": [run_id, *runs][:REMEMBERED_RUNS],
        }
        self._replace(POINTER, json.dumps(pointer, indent=1).encode() + b"\n")

    def _replace(self, path: str, data: bytes) -> None:
        # One PUT is atomic on an object store; a local write is not, and could tear the pointer.
        if not isinstance(self.fs, LocalFileSystem):
            self.write(path, data)
            return
        temporary = f"{path}.{os.getpid()}.tmp"
        self.write(temporary, data)
        os.replace(self.path(temporary), self.path(path))


def _damaged_pointer(why: object) -> LakeError:
    return LakeError(
        f"{POINTER} is damaged ({why}): restore it, or delete it and run again; no layer is lost"
    )
