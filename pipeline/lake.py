"""Immutable run folders behind any fsspec URL, and the pointer to the last good run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from pipeline import pointer
from pipeline.errors import ConflictError, LakeError, UsageError
from pipeline.json_object import json_object, to_json
from pipeline.storage import (
    flush,
    is_local,
    open_storage,
    remove_unfinished,
    storage_errors,
    write_whole,
    writing_errors,
)

__all__ = [
    "LAYERS",
    "POINTER",
    "STARTS",
    "Lake",
    "is_run_id",
    "lake_run_id",
    "start_path",
    "utc_now",
]

POINTER = "current.json"
STARTS = "starts"
# Where a run may have a folder.
LAYERS = ("bronze", "silver", "gold", "verdict")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def utc_now() -> str:
    """The time now, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def lake_run_id(dag_run_id: str) -> str:
    """The lake's run id for an orchestrator's: the same text where a folder can have it."""
    if is_run_id(dag_run_id):
        return dag_run_id
    # A digest keeps two ids apart that differ only in characters a folder name cannot hold.
    digest = hashlib.sha256(dag_run_id.encode()).hexdigest()[:8]
    legal = re.sub(r"[^A-Za-z0-9._-]", "-", dag_run_id).lstrip("._-")[:100]
    return f"{legal or 'run'}-{digest}"


def is_run_id(text: str) -> bool:
    """Whether a folder of the lake may be named by it."""
    return _RUN_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake at one root; paths given to its methods are relative to that root."""

    fs: AbstractFileSystem
    root: str

    @classmethod
    def at(cls, url: str) -> Lake:
        """Open the lake at an fsspec URL or a plain path; nothing is read or made yet."""
        return cls(*open_storage(url))

    def path(self, *parts: str) -> str:
        """The full path on the lake's file system."""
        return "/".join((self.root, *parts))

    def folder(self, layer: str, run_id: str) -> str:
        """The folder of one layer of one run, relative to the root."""
        if not is_run_id(run_id):
            raise UsageError(
                f"{run_id!r} is not a run id: use up to 128 letters, digits, '.', '_' and '-'."
            )
        return f"{layer}/run={run_id}"

    def exists(self, path: str) -> bool:
        with storage_errors(self.path(path)):
            return bool(self.fs.exists(self.path(path)))

    def read(self, path: str) -> bytes:
        """The bytes of one file; LakeError when it is not there."""
        try:
            with storage_errors(self.path(path)):
                return bytes(self.fs.cat_file(self.path(path)))
        except FileNotFoundError as error:
            raise LakeError(f"{path} is missing from the lake") from error

    def files(self, path: str) -> list[str]:
        """All files below a folder, sorted, relative to the root; none when there is no folder."""
        with storage_errors(self.path(path)):
            found = (file.removeprefix(f"{self.root}/") for file in self.fs.find(self.path(path)))
            # Hidden ones are what a killed process left of a file that it never finished.
            return sorted(file for file in found if not file.rsplit("/", 1)[-1].startswith("."))

    def names(self, path: str) -> list[str]:
        """What is right below a folder, sorted; nothing when there is no folder."""
        full = self.path(path)
        try:
            with storage_errors(full):
                return sorted(at.rsplit("/", 1)[-1] for at in self.fs.ls(full, detail=False))
        except FileNotFoundError:
            return []

    def write(self, path: str, data: bytes) -> None:
        """Write one file, whole or not at all, and the folders above it where there are such."""
        full = self.path(path)
        with writing_errors(full):
            if is_local(self.fs):
                write_whole(full, data)
            else:
                # One PUT is atomic; and making folders would make a bucket that is not there.
                self.fs.pipe_file(full, data)

    def read_json(self, path: str) -> dict[str, Any]:
        """The JSON object in one file; LakeError when it is missing or damaged."""
        return json_object(path, self.read(path))

    def read_object(self, path: str, keys: set[str]) -> dict[str, Any]:
        """The JSON object in one file; LakeError when it is damaged or lacks one of the keys."""
        value = self.read_json(path)
        if lacking := keys - set(value):
            raise LakeError(f"{path} lacks {', '.join(sorted(lacking))}")
        return value

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        self.write(path, to_json(value))

    def clear(self, path: str) -> None:
        """Remove what an earlier try of an uncommitted run left, if there is anything."""
        full = self.path(path)
        with storage_errors(full):
            try:
                self.fs.rm(full, recursive=True)
            except FileNotFoundError:
                return
            # s3fs does not tell which objects it was forbidden to delete.
            if self.fs.find(full):
                raise PermissionError(13, "not everything could be deleted", full)

    def remove_unfinished(self, path: str, *, before: datetime) -> None:
        """Remove files right below a folder that a process was killed in the middle of writing."""
        if is_local(self.fs):
            with storage_errors(self.path(path)):
                remove_unfinished(Path(self.path(path)), before=before.timestamp())

    def committed_runs(self) -> list[str]:
        """The committed runs, newest first; empty for a new lake."""
        return pointer.committed_runs(self.fs, self.path(POINTER))

    def current_run(self) -> str | None:
        """The run that readers should read: the last one committed."""
        return next(iter(self.committed_runs()), None)

    def is_committed(self, run_id: str) -> bool:
        """Whether a run is done for ever; UsageError for what is no run id."""
        self.folder("bronze", run_id)
        return run_id in self.committed_runs()

    def begin(self, run_id: str) -> None:
        """Note that a run begins, and on which committed run.

        What an earlier try of it left is gone on with, unless a newer run was committed since.
        """
        start = {"run_id": run_id, "began_at": utc_now(), "current": self.current_run()}
        if self._began_on(run_id, otherwise=start["current"]) != start["current"]:
            for layer in LAYERS:
                self.clear(self.folder(layer, run_id))
        self.write_json(start_path(run_id), start)

    def commit(self, run_id: str, *, require: Callable[[], None] = lambda: None) -> None:
        """Point readers at this run; does nothing when it is committed already.

        ConflictError when another run was committed since this one began: what began earlier read
        the source earlier, and must not replace what is newer. `require` is called between the
        pointer's reading and its change, and may refuse.
        """

        def change(content: dict[str, Any]) -> dict[str, Any] | None:
            require()
            runs = content["runs"]
            if run_id in runs:
                return None
            self._require_current(run_id, next(iter(runs), None))
            return {"run_id": run_id, "committed_at": utc_now(), "runs": [run_id, *runs]}

        if is_local(self.fs):
            folders = (Path(self.path(self.folder(layer, run_id))) for layer in LAYERS)
            with storage_errors(self.root):
                flush([folder for folder in folders if folder.is_dir()])
        self._change(change)

    def condemn(self, run_id: str) -> None:
        """Make sure that a run cannot be committed any more unless it begins again."""
        self.write_json(start_path(run_id), {"run_id": run_id, "began_at": "", "current": ""})

    def forget(self, run_ids: set[str], *, token: str) -> None:
        """Take runs out of the committed ones but for the current one, and fence."""

        def change(content: dict[str, Any]) -> dict[str, Any]:
            runs = content["runs"]
            kept = runs[:1] + [run for run in runs[1:] if run not in run_ids]
            return content | {"runs": kept, "fence": token}

        self._change(change)

    def fence(self, token: str) -> None:
        """Change the pointer, but not its meaning, so that no commit under way can end."""
        self._change(lambda content: content | {"fence": token})

    def began(self, run_id: str) -> dict[str, Any]:
        """When a run last began (`began_at`), and on which committed run (`current`)."""
        return self.read_object(start_path(run_id), {"began_at", "current"})

    def _began_on(self, run_id: str, *, otherwise: str | None) -> str | None:
        try:
            began_on: str | None = self.began(run_id)["current"]
            return began_on
        except LakeError:
            return otherwise

    def _change(self, change: pointer.Change) -> None:
        pointer.change(self.fs, self.path(POINTER), change)

    def _require_current(self, run_id: str, current: str | None) -> None:
        if self._began_on(run_id, otherwise=current) != current:
            raise ConflictError(
                f"Run {run_id} was not committed: run {current} was, while this one was under "
                "way. Readers see that one; run again from the start for newer data."
            )


def start_path(run_id: str) -> str:
    """Where the lake notes that a run began."""
    return f"{STARTS}/run={run_id}.json"
