"""What a lake may forget: committed runs beyond some number, and what dead runs left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pipeline.claim import Claim
from pipeline.errors import LakeError, UsageError
from pipeline.lake import LAYERS, POINTER, STARTS, Lake, is_run_id, start_path

__all__ = ["ABANDONED_AFTER", "Pruned", "prune"]

# An orchestrator's run holds no claim between its tasks, so only its age tells that it is dead.
ABANDONED_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Run ids, each sorted: committed ones that were forgotten, and dead ones' remains."""

    committed: list[str]
    abandoned: list[str]


def prune(
    lake: Lake,
    *,
    keep: int | None = None,
    abandoned_after: timedelta = ABANDONED_AFTER,
    dry_run: bool = False,
) -> Pruned:
    """Remove all but the `keep` newest committed runs (None: none), and runs that died long ago.

    The run that readers see is always kept. ConflictError while a run is writing the lake,
    LakeError where finished runs but no pointer to them tell that it was lost.
    """
    if keep is not None and keep < 1:
        raise UsageError(f"Keeping {keep} runs would leave readers none: keep 1 or more.")
    with Claim(lake, "`prune`") as claim:
        committed = lake.committed_runs()
        known = _known_runs(lake)
        if not committed and (finished := sorted(run for run in known if _is_good(lake, run))):
            raise LakeError(
                f"No run is committed, but {', '.join(finished[-3:])} came to a good verdict: "
                f"restore {POINTER}, or run again, before anything is pruned"
            )
        old = set() if keep is None else set(committed[keep:])
        dead = {
            run_id for run_id in known - set(committed) if _is_dead(lake, run_id, abandoned_after)
        }
        if not dry_run:
            for run_id in dead:
                lake.condemn(run_id)
            # Readers never find a run in the pointer that is half gone; and what was about to be
            # committed finds the pointer changed, and then that it is condemned.
            lake.forget(old, token=claim.token)
            for run_id in sorted((old | dead) - set(lake.committed_runs())):
                claim.require()
                _remove(lake, run_id)
            # A run that was killed as it noted its beginning is known by no name.
            lake.remove_unfinished(STARTS, before=datetime.now(timezone.utc) - abandoned_after)
    return Pruned(sorted(old), sorted(dead))


def _known_runs(lake: Lake) -> set[str]:
    """Every run that has anything in the lake, committed or not."""
    starts = (name.removesuffix(".json") for name in lake.names(STARTS))
    folders = (name for layer in LAYERS for name in lake.names(layer))
    names = (name.removeprefix("run=") for name in (*starts, *folders) if name.startswith("run="))
    return {run_id for run_id in names if is_run_id(run_id)}


def _remove(lake: Lake, run_id: str) -> None:
    for layer in LAYERS:
        lake.clear(lake.folder(layer, run_id))
    # Last, so that a run of which this was killed half way stays known for one that began.
    lake.clear(start_path(run_id))


def _is_good(lake: Lake, run_id: str) -> bool:
    try:
        return bool(
            lake.read_json(f"{lake.folder('verdict', run_id)}/verdict.json")["status"] != "fail"
        )
    except (LakeError, KeyError):
        return False


def _is_dead(lake: Lake, run_id: str, abandoned_after: timedelta) -> bool:
    try:
        began = datetime.fromisoformat(str(lake.began(run_id)["began_at"]))
    except (LakeError, KeyError, ValueError):
        # Every run notes its beginning first and loses the note last, if not by hand.
        return True
    return datetime.now(timezone.utc) - began >= abandoned_after
