"""The checks of gold: each table keeps its contract, says the same in every form, counts silver."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
from pyarrow import csv

from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.quality.check import Check
from pipeline.quality.contracts import GOLD, Contract
from pipeline.quality.facts import contract_checks, measure, unique_check
from pipeline.quality.keys import Keys
from pipeline.quality.limits import Limits
from pipeline.quality.profile import Profile
from pipeline.quality.verdict import Verdict

__all__ = ["check_gold"]

_CURE = "Run the gold step again; if it stays so, the fault is in pipeline/gold.py."


def check_gold(lake: Lake, verdict: Verdict, limits: Limits) -> None:
    """Judge every table; LakeError when the Parquet of one is missing or damaged."""
    for name, contract in GOLD.items():
        _check_table(lake, verdict, name, contract)


def _check_table(lake: Lake, verdict: Verdict, name: str, contract: Contract) -> None:
    path = f"{lake.folder('gold', verdict.run_id)}/{name}"
    data = lake.read(f"{path}.parquet")
    facts, table = measure(f"{path}.parquet", data, contract, also=contract.columns)
    layer = f"gold {name}"
    verdict.gold_rows += facts.rows
    kept = contract_checks(layer, contract, facts, _CURE)
    verdict.checks += kept
    # Of a table without its columns there is nothing more to say.
    if not set(contract.columns) <= set(table.column_names):
        return
    with Keys(contract.unique) as keys:
        keys.add(table)
        repeated = keys.repeated(lambda: [table])
    verdict.breweries = sum(table["breweries"].to_pylist())
    forms = [(suffix, f"{path}.{suffix}") for suffix in ("csv", "json")]
    verdict.checks += [
        unique_check(layer, contract, repeated, _CURE),
        Check.of(
            layer,
            "CSV, JSON and Parquet say the same",
            [text for suffix, form in forms if (text := _difference(lake, form, suffix, table))],
            good=f"{facts.rows:,} rows in each",
            cure=_CURE,
        ),
        Check.of(
            layer,
            "counts silver's breweries",
            _miscounted(table, verdict.profile),
            good=f"{verdict.breweries:,} breweries",
            cure=_CURE,
        ),
    ]


def _difference(lake: Lake, path: str, suffix: str, table: Any) -> str:
    try:
        data = lake.read(path)
        form = (_from_csv if suffix == "csv" else _from_json)(data, table.schema)
    except LakeError as error:
        return str(error)
    except (ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        return f"{path} cannot be read: {(str(error).splitlines() or [''])[0]}"
    # Column by column: the forms do not say whether a column may be null.
    same = form.column_names == table.column_names and form.columns == table.columns
    return "" if same else f"{path} and the Parquet beside it differ"


def _from_csv(data: bytes, schema: Any) -> Any:
    return csv.read_csv(
        pa.BufferReader(data),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        # Silver holds no empty text, so an empty cell is a null and nothing else.
        convert_options=csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True
        ),
    )


def _from_json(data: bytes, schema: Any) -> Any:
    rows = json.loads(data)
    names = set(schema.names)
    if any(row.keys() != names for row in rows):
        raise ValueError("a row has other columns")
    return pa.Table.from_pylist(rows, schema=schema)


def _miscounted(table: Any, profile: Profile) -> list[str]:
    """A place and type that gold and silver count differently, if there is one."""
    columns = [name for name in ("country", "state", "brewery_type") if name in table.column_names]
    gold: Counter[tuple[Any, ...]] = Counter()
    for *key, count in zip(
        *(table[name].to_pylist() for name in (*columns, "breweries")), strict=True
    ):
        gold[tuple(key)] += count
    silver: Counter[tuple[Any, ...]] = Counter()
    for (country, state, kind), count in profile.counts.items():
        named = {"country": country, "state": state, "brewery_type": kind}
        silver[tuple(named[name] for name in columns)] += count
    if gold == silver:
        return []
    first = min((key for key in gold | silver if gold[key] != silver[key]), key=str)
    place = ", ".join("unknown" if part is None else part for part in first)
    return [f"{gold[first]:,} breweries are counted of {place}, silver has {silver[first]:,}"]
