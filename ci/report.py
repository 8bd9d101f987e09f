"""The one record of a run: `summary.json`, and a folder of artifacts for each stage."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ci.engine import Engine
from ci.errors import Failure, UsageError
from ci.graph import STAGES
from ci.runner import Outcome
from ci.source import Git
from ci.stage import Image, Result, Status

# In every report folder, so that nothing else is ever taken for one and emptied.
MARK = ".brewline"
_NOT_REACHED = Result(status=Status.CANCELLED, reason="the run did not get here")


@dataclass(slots=True, kw_only=True)
class Report:
    """What is known of a run so far; `write` may be called at any time."""

    folder: Path
    run_id: str
    version: str
    git: Git
    engine: Engine | None = None
    stand_ins: tuple[str, ...] = ()
    moved_packages: Mapping[str, list[str]] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    seconds: float = 0.0
    started: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def image(self) -> Image | None:
        """The image of this run, from the last stage that says something of it."""
        images = [result.image for result in self.outcome.results.values() if result.image]
        return images[-1] if images else None

    @property
    def failure(self) -> Failure | None:
        """Class of what failed first."""
        return self.outcome.failure

    @property
    def exit_code(self) -> int:
        return self.outcome.exit_code

    @property
    def status(self) -> Status:
        """Status of the run; one that has not reached its last checks yet counts as cancelled."""
        if self.outcome.interrupted:
            return Status.CANCELLED
        if self.failure:
            return Status.FAILED
        checks = {stage.name for stage in STAGES if not stage.always}
        return Status.PASSED if checks <= self.outcome.results.keys() else Status.CANCELLED

    def as_dict(self) -> dict[str, object]:
        """The record as `report.schema.json` describes it."""
        return {
            "run_id": self.run_id,
            "version": self.version,
            "commit": self.git.commit,
            "branch": self.git.branch,
            "dirty": self.git.dirty,
            "started": self.started.isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 3),
            "status": self.status,
            "failure": self.failure,
            "exit_code": self.exit_code,
            "engine": self.engine and self.engine.as_dict(),
            "stand_ins": list(self.stand_ins),
            "moved_packages": dict(self.moved_packages),
            "image": self.image and _image(self.image),
            "stages": [_stage(stage.name, self.outcome.results) for stage in STAGES],
        }

    def write(self) -> None:
        """Replace the summary in one step: a reader never sees half of it."""
        draft = self.summary.with_suffix(".json.new")
        draft.write_text(json.dumps(self.as_dict(), indent=2) + "\n")
        draft.replace(self.summary)


def prepare(folder: Path) -> None:
    """Make the report folder and take an earlier run's artifacts out of it.

    Raises UsageError for a folder that holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = os.listdir(folder)
        if names and MARK not in names:
            raise UsageError(
                f"{folder} is not empty and holds no report of an earlier run:"
                " name another folder with --report."
            )
        (folder / MARK).touch()
        for stage in STAGES:
            for kept in (folder / stage.name, first_try(folder / stage.name)):
                shutil.rmtree(kept, ignore_errors=True)
        for name in ("summary.json", "engine.log"):
            (folder / name).unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--report {folder} is a file: name a folder.") from error


def first_try(folder: Path) -> Path:
    """Where the artifacts of a stage's first try are kept when it is tried once more."""
    return folder.with_name(f"{folder.name}-first-try")


def artifacts(folder: Path, stage: str) -> tuple[str, ...]:
    """What a stage left, relative to the report folder; folders end in a slash."""
    try:
        entries = sorted(os.scandir(folder / stage), key=lambda entry: entry.name)
    except FileNotFoundError:
        return ()
    left = [f"{stage}/{entry.name}{'/' if entry.is_dir() else ''}" for entry in entries]
    earlier = first_try(folder / stage)
    return (*left, f"{earlier.name}/") if earlier.exists() else tuple(left)


def run_id(environ: Mapping[str, str]) -> str:
    """GitHub's own number for the run, the same in all its jobs; elsewhere time and chance."""
    if "GITHUB_RUN_ID" in environ:
        return f"{environ['GITHUB_RUN_ID']}-{environ.get('GITHUB_RUN_ATTEMPT', '1')}"
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _stage(name: str, results: Mapping[str, Result]) -> dict[str, object]:
    result = results.get(name, _NOT_REACHED)
    return {
        "name": name,
        "status": result.status,
        "reason": result.reason,
        "detail": result.detail,
        "failure": result.failure,
        "started": None if result.started is None else round(result.started, 3),
        "seconds": round(result.seconds, 3),
        "cached": result.cached,
        "retried": result.retried or None,
        "artifacts": list(result.artifacts),
    }


def _image(image: Image) -> dict[str, object]:
    return {"reference": image.reference, "digest": image.digest, "tags": list(image.tags)}
