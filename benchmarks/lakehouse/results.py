"""What an engine made, to be compared with what another made: gold as it is, the rest by ids."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.lakehouse.breweries import RUN
from pipeline.lake import Lake

__all__ = ["digest"]


def digest(lake: Lake, output: Path | None) -> dict[str, str]:
    """Of each result a text, equal where the results are: of ours, or of another's in `output`."""
    if output is None:
        silver = lake.path("silver", f"run={RUN}")
        gold = lake.path("gold", f"run={RUN}", "breweries_by")
        found = {
            "silver": f"{silver}/breweries/**/*.parquet",
            "quarantine": f"{silver}/quarantine/*",
        }
    else:
        gold = f"{output}/by"
        found = {
            "silver": f"{output}/silver/**/*.parquet",
            "quarantine": f"{output}/quarantine.parquet",
        }
    with duckdb.connect() as database:
        return {
            "silver": _digest(
                database,
                "id, name, brewery_type, known_type, address_1, city, postal_code, phone, "
                "website_url, longitude, latitude, country, state",
                f"read_parquet('{found['silver']}', hive_partitioning = true)",
            ),
            "quarantine": _digest(database, "id, reason", f"read_parquet('{found['quarantine']}')"),
            **{
                table: _digest(
                    database,
                    f"{place}, brewery_type, breweries::BIGINT",
                    f"'{gold}_{table}.parquet'",
                )
                for table, place in (("state", "country, state"), ("city", "country, state, city"))
            },
        }


def _digest(database: duckdb.DuckDBPyConnection, columns: str, table: str) -> str:
    query = f"SELECT count(*), sum(hash({columns}) % 4294967291) FROM {table}"
    return str(database.execute(query).fetchall()[0])
