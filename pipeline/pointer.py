"""The pointer: the one file that says which runs are committed, and which one readers read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from fsspec import AbstractFileSystem

from pipeline import register
from pipeline.errors import ConflictError, LakeError
from pipeline.json_object import json_object, to_json
from pipeline.storage import storage_errors, writing_errors

__all__ = ["Change", "change", "committed_runs"]

# From what the pointer holds to what it is to hold; None for nothing to change.
Change: TypeAlias = Callable[[dict[str, Any]], dict[str, Any] | None]

_TRIES = 20


def committed_runs(fs: AbstractFileSystem, path: str) -> list[str]:
    """The committed runs, newest first; LakeError for a pointer that is damaged."""
    with storage_errors(path):
        runs: list[str] = _content(register.read(fs, path), path)["runs"]
    return runs


def change(fs: AbstractFileSystem, path: str, make: Change) -> None:
    """Make a change of the pointer, and make it anew when another changed it meanwhile."""
    for _ in range(_TRIES):
        with storage_errors(path):
            seen = register.read(fs, path)
        changed = make(_content(seen, path))
        if changed is None:
            return
        with writing_errors(path):
            if register.replace(fs, path, to_json(changed), seen=seen):
                return
    raise ConflictError(f"Other runs keep changing {path}: run again later.")


def _content(seen: register.Reading, path: str) -> dict[str, Any]:
    if seen.data is None:
        return {"run_id": None, "runs": []}
    name = path.rsplit("/", 1)[-1]
    try:
        content = json_object(name, seen.data)
        runs = content["runs"]
    except (LakeError, KeyError) as error:
        raise _damaged(name, error) from error
    if not isinstance(runs, list) or not all(isinstance(run, str) for run in runs):
        raise _damaged(name, f"runs is {runs!r:.40}")
    return content


def _damaged(name: str, why: object) -> LakeError:
    return LakeError(
        f"{name} is damaged ({why}): restore it, or delete it and run again; no layer is lost, but "
        "`prune` will take the runs before for dead"
    )
