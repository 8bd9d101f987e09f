"""Open Brewery DB to the lake: every step lives in `pipeline`, this file only wires them."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

PUBLIC_API = "https://api.openbrewerydb.org"
SCHEDULE = os.environ.get("BREWERY_SCHEDULE", "@daily")


def lake_run() -> dict[str, Any]:
    """Where in which lake the DAG run of the calling task writes."""
    from pipeline.lake import lake_run_id

    context = get_current_context()
    lake = context["params"]["lake"] or os.environ.get("BREWERY_LAKE", "")
    return {"lake": lake, "run_id": lake_run_id(context["run_id"])}


# The tasks import `pipeline` themselves, so that parsing this file stays fast.
@dag(
    dag_id="brewery_pipeline",
    schedule=None if SCHEDULE.lower() in ("", "none") else SCHEDULE,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["brewery", "lakehouse"],
    default_args={
        "owner": "data-engineering",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
    },
    params={
        "api": Param(None, type=["null", "string"], description="default: BREWERY_API, or public"),
        "lake": Param(None, type=["null", "string"], description="default: BREWERY_LAKE"),
    },
    doc_md="""Fetches every brewery of the Open Brewery DB API into **bronze** as it came, cleans it
into **silver** (what breaks a rule goes to quarantine) and counts it into **gold**. `commit` checks
the whole run and only then shows it to readers; a run that fails leaves the last good one.""",
)
def brewery_pipeline() -> None:
    @task()
    def plan() -> list[Any]:
        from pipeline import steps

        api = get_current_context()["params"]["api"] or os.environ.get("BREWERY_API") or PUBLIC_API
        return steps.plan(api=api, **lake_run())

    @task(multiple_outputs=False)
    def extract(first: int, last: int) -> dict[str, int]:
        from pipeline import steps

        return steps.extract(first=first, last=last, **lake_run())

    def step(name: str) -> Any:
        @task(task_id=name, multiple_outputs=False)
        def run_step() -> dict[str, Any]:
            from pipeline import steps

            result: dict[str, Any] = getattr(steps, name)(**lake_run())
            return result

        return run_step()

    landed = extract.expand_kwargs(plan())
    landed >> step("manifest") >> step("silver") >> step("gold") >> step("commit")


brewery_pipeline()
