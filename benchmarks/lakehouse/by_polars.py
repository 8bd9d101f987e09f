"""The same work as a user of Polars would write it: one lazy query, streamed into files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.lakehouse.places import COUNTRIES, STATES
from pipeline.records import COORDINATES, FIELDS
from pipeline.rules import KNOWN_TYPES, MAX_BYTES, RANGES, TEXTS

__all__ = ["run"]

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def run(pages: list[str], output: Path) -> None:
    """Silver and gold of these pages, below a folder that exists."""
    schema = {name: pl.String for name in FIELDS}
    raw = pl.scan_ndjson(pages, schema=schema, row_index_name="number")
    judged = _judged(raw).collect(engine="streaming")
    judged.filter(pl.col("reason").is_not_null()).select(
        "number", "id", "reason", "record"
    ).write_parquet(output / "quarantine.parquet")
    silver = (
        judged.filter(pl.col("reason").is_null())
        .drop("reason", "record")
        .unique("id", keep="last", maintain_order=True)
        .drop("number")
    )
    del judged
    silver.lazy().sink_parquet(
        pl.PartitionBy(output / "silver", key=["country", "state"], include_key=False),
        compression_level=1,
        mkdir=True,
    )
    for name, place in (("state", ["country", "state"]), ("city", ["country", "state", "city"])):
        keys = [*place, "brewery_type"]
        counted = silver.group_by(keys).agg(pl.len().alias("breweries")).sort(keys, nulls_last=True)
        counted.write_csv(output / f"by_{name}.csv")
        counted.write_json(output / f"by_{name}.json")
        counted.write_parquet(output / f"by_{name}.parquet")


def _judged(raw: pl.LazyFrame) -> pl.LazyFrame:
    tidy = raw.select(
        "number",
        *(
            pl.coalesce(*map(_tidy, fields)).alias(name)
            for name, fields in TEXTS.items()
            if name != "brewery_type"
        ),
        _tidy("brewery_type").str.to_lowercase(),
        *(_tidy(name).alias(f"{name}_text") for name in COORDINATES),
        record=pl.struct(FIELDS),
    )
    country = pl.col("country")
    placed = tidy.with_columns(_spelled(country, country, COUNTRIES))
    place = pl.concat_str("country", "state", separator="/")
    located = placed.with_columns(_spelled(place, pl.col("state"), STATES).alias("state"))
    normal = located.with_columns(
        _phone(pl.col("phone")),
        _website(pl.col("website_url")),
        *(
            pl.col(f"{name}_text").cast(pl.Float64, strict=False).alias(name)
            for name in COORDINATES
        ),
        known_type=pl.col("brewery_type").is_in(KNOWN_TYPES),
    )
    judged = normal.with_columns(reason=_reason())
    rejected = pl.col("reason").is_not_null()
    return judged.drop(f"{name}_text" for name in COORDINATES).with_columns(
        record=pl.when(rejected).then(pl.col("record").struct.json_encode())
    )


def _tidy(name: str) -> pl.Expr:
    spaced = pl.col(name).str.normalize("NFC").str.replace_all(r"[\s\p{Z}\p{Cc}]+", " ")
    text = spaced.str.strip_chars(" ")
    return pl.when(text != "").then(text)


def _spelled(key: pl.Expr, otherwise: pl.Expr, names: dict[str, str]) -> pl.Expr:
    return key.str.to_lowercase().replace_strict(names, default=otherwise)


def _phone(phone: pl.Expr) -> pl.Expr:
    digits = phone.str.replace(r"^(\+[^(]*)\(0\)", "$1").str.replace_all("[^0-9+]", "")
    return (
        pl.when(phone.str.contains(r"^[0-9]+\.0$"))
        .then(phone.str.head(-2))
        .when(phone.str.contains(r"^\+?[ ()./-]*[0-9][0-9 ()./-]*$"))
        .then(digits)
        .otherwise(phone)
    )


def _website(url: pl.Expr) -> pl.Expr:
    full = url.str.replace(r"^(?i:www\.)", "http://${0}")
    host = full.str.extract(r"^((?i:https?)://[^/?#@]+(?:[/?#]|$))").fill_null("")
    lowered = host.str.to_lowercase() + full.str.slice(host.str.len_chars())
    return lowered.str.replace(r"^(https?://[^/?#@]+)/$", "$1")


def _reason() -> pl.Expr:
    reasons = [
        pl.when(pl.col(name).str.starts_with("{")).then(pl.lit(f"{name}: not text"))
        for name in TEXTS
        if name != "id"
    ]
    reasons.append(pl.when(pl.col("id").is_null()).then(pl.lit("id: missing")))
    for name, limit in MAX_BYTES.items():
        long = pl.col(name).str.len_bytes() > limit
        reasons.append(pl.when(long).then(pl.lit(f"{name}: longer than {limit} bytes")))
    for name in COORDINATES:
        low, high = RANGES[name]
        written = pl.col(f"{name}_text").str.contains(_NUMBER)
        reasons.append(pl.when(~written).then(pl.lit(f"{name}: not a number")))
        outside = ~pl.col(name).is_between(low, high)
        reasons.append(pl.when(outside).then(pl.lit(f"{name}: not within {low:g} to {high:g}")))
    return pl.coalesce(*reasons)
