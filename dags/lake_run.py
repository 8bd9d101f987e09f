"""When there is a DAG run, which run of which lake it makes, from which source: what may be set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import Asset, Param, get_current_context

__all__ = ["LAYERS", "PARAMS", "announced", "run_id", "schedule", "source", "step"]

PUBLIC_API = "https://api.openbrewerydb.org"
LAYERS = [Asset("brewery_bronze"), Asset("brewery_silver"), Asset("brewery_gold")]
_TEXT = ["null", "string"]
PARAMS = {
    "date": Param(None, type=_TEXT, format="date", description="default: the run's own date"),
    "api": Param(None, type=_TEXT, description="default: BREWERY_API, or the public API"),
    "lake": Param(None, type=_TEXT, description="default: BREWERY_LAKE"),
    "rate": Param(120, type="integer", minimum=0, description="requests a minute; 0: no limit"),
    "tasks": Param(4, type="integer", minimum=1, description="extractions at most"),
}


def schedule() -> str | None:
    """What BREWERY_SCHEDULE says, which may be `none`; daily unless it is set."""
    given = os.environ.get("BREWERY_SCHEDULE", "@daily")
    return None if given.lower() in ("", "none") else given


def step(name: str, **arguments: Any) -> Any:
    """Take one step of `pipeline` in the lake run of the calling task."""
    # Here, because it loads the data libraries, which parsing a DAG file needs not.
    from pipeline import steps

    context = get_current_context()
    lake = context["params"]["lake"] or os.environ.get("BREWERY_LAKE", "")
    return getattr(steps, name)(lake=lake, run_id=run_id(context), **arguments)


def source() -> dict[str, Any]:
    """The API that the calling task's DAG run reads and how, as arguments of the step `plan`."""
    params = get_current_context()["params"]
    api = params["api"] or os.environ.get("BREWERY_API") or PUBLIC_API
    return {"api": api, "rate": params["rate"], "tasks": params["tasks"]}


def announced(verdict: dict[str, Any], events: Any) -> dict[str, Any]:
    """The verdict, once the events of all layers tell which run of the lake to read."""
    for asset in LAYERS:
        rows = verdict[f"{asset.name.removeprefix('brewery_')}_rows"]
        events[asset].extra = {"run_id": verdict["run_id"], "rows": rows}
    return verdict


def run_id(context: Mapping[str, Any]) -> str:
    """The lake's run id: the date asked for, else the logical date, else the DAG run's own id.

    A date gives the same id whoever runs it and how often, so that a backfill of a day finds what
    the lake holds of that day.
    """
    from pipeline.lake import lake_run_id

    if context["params"]["date"]:
        return str(context["params"]["date"])
    logical: datetime | None = context.get("logical_date")
    if logical is None:
        return lake_run_id(context["run_id"])
    moment = logical.astimezone(timezone.utc).strftime("%Y-%m-%dT%H%M%S.%fZ")
    # A daily schedule gives midnights: the day alone names them.
    return moment.removesuffix("T000000.000000Z")
