"""Open Brewery DB to the lake: every step lives in `pipeline`, this file only wires them."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from airflow.sdk import Asset, Param, dag, task

from dags.failures import DEADLINE, RETRIES, run_failed
from dags.lake_run import source, step

SCHEDULE = os.environ.get("BREWERY_SCHEDULE", "@daily")
LAYERS = {layer: Asset(f"brewery_{layer}") for layer in ("bronze", "silver", "gold")}
TEXT = ["null", "string"]


@dag(
    schedule=None if SCHEDULE.lower() in ("", "none") else SCHEDULE,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["brewery", "lakehouse"],
    default_args={"owner": "data-engineering", **RETRIES},
    params={
        "date": Param(None, type=TEXT, format="date", description="default: the run's own date"),
        "api": Param(None, type=TEXT, description="default: BREWERY_API, or the public API"),
        "lake": Param(None, type=TEXT, description="default: BREWERY_LAKE"),
    },
    on_failure_callback=run_failed,
    deadline=DEADLINE,
)
def brewery_pipeline() -> None:
    """Fetches every brewery of the Open Brewery DB API into **bronze** as it came, cleans it into
    **silver** (what breaks a rule goes to quarantine) and counts it into **gold**. `commit` checks
    the whole run and only then shows it to readers; a run that fails leaves the last good one.

    The source keeps no history: a backfill of a day makes that day's run from what the source says
    today. A day that is committed already stays as it is.
    """

    @task
    def plan() -> list[Any]:
        """Asks the source how much there is and divides its pages among the extractions."""
        return list(step("plan", api=source()))

    # Of a mapped task Airflow does not show the docstring.
    @task(multiple_outputs=False, doc_md="Lands a range of pages in bronze, as they come.")
    def extract(first: int, last: int) -> dict[str, int]:
        return dict(step("extract", first=first, last=last))

    def single(name: str, doc: str) -> Any:
        return task(task_id=name, doc_md=doc, multiple_outputs=False)(lambda: step(name))()

    manifest = single("manifest", "Seals bronze: every page that was planned, with its checksum.")
    silver = single("silver", "Cleans bronze into silver; what breaks a rule goes to quarantine.")
    gold = single("gold", "Counts breweries per type and place.")

    @task(multiple_outputs=False, outlets=list(LAYERS.values()))
    def commit(*, outlet_events: Any = None) -> dict[str, Any]:
        """Judges the run and points readers at it: only then do the assets change."""
        verdict = dict(step("commit"))
        for layer, asset in LAYERS.items():
            rows = verdict[f"{layer}_rows"]
            outlet_events[asset].extra = {"run_id": verdict["run_id"], "rows": rows}
        return verdict

    extract.expand_kwargs(plan()) >> manifest >> silver >> gold >> commit()


brewery_pipeline()
