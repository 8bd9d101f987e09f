"""Which run of which lake a DAG run makes, and from which source: by its params and its date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import get_current_context

__all__ = ["run_id", "source", "step"]

PUBLIC_API = "https://api.openbrewerydb.org"


def step(name: str, **arguments: Any) -> Any:
    """Take one step of `pipeline` in the lake run of the calling task."""
    # Here, because it loads the data libraries, which parsing a DAG file needs not.
    from pipeline import steps

    context = get_current_context()
    lake = context["params"]["lake"] or os.environ.get("BREWERY_LAKE", "")
    return getattr(steps, name)(lake=lake, run_id=run_id(context), **arguments)


def source() -> str:
    """The API that the calling task's DAG run reads."""
    api: str | None = get_current_context()["params"]["api"]
    return api or os.environ.get("BREWERY_API") or PUBLIC_API


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
