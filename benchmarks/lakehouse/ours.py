"""The transform itself: silver and gold of a run."""

from __future__ import annotations

from benchmarks.lakehouse.breweries import RUN
from pipeline import gold, silver
from pipeline.lake import Lake

__all__ = ["run"]


def run(lake: Lake) -> None:
    """Silver and gold, in the lake."""
    silver.write_silver(lake, RUN)
    gold.write_gold(lake, RUN)
