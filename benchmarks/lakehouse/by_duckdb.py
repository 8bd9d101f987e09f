"""The same work as a user of DuckDB would write it: one statement after the other, in memory."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.lakehouse.places import COUNTRIES, STATES
from pipeline.records import COORDINATES, FIELDS
from pipeline.rules import KNOWN_TYPES, MAX_BYTES, RANGES, TEXTS

__all__ = ["run"]

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"


def run(pages: list[str], output: Path) -> None:
    """Silver and gold of these pages, below a folder that exists."""
    with duckdb.connect() as database:
        for name, spellings in (("countries", COUNTRIES), ("states", STATES)):
            database.execute(f"CREATE TABLE {name} (spelling VARCHAR, name VARCHAR)")
            database.executemany(f"INSERT INTO {name} VALUES (?, ?)", list(spellings.items()))
        database.execute(f"CREATE TABLE raw AS {_read(pages)}")
        database.execute(f"CREATE TABLE judged AS {_judged()}")
        database.execute("DROP TABLE raw")
        database.execute("""
            CREATE TABLE silver AS SELECT * EXCLUDE (reason, record) FROM judged
            WHERE reason IS NULL
            QUALIFY row_number() OVER (PARTITION BY id ORDER BY number DESC) = 1""")
        database.execute(f"""
            COPY (SELECT number, id, reason, record FROM judged WHERE reason IS NOT NULL)
            TO '{output}/quarantine.parquet' (FORMAT parquet, COMPRESSION zstd);
            COPY (SELECT * EXCLUDE number FROM silver) TO '{output}/silver' (FORMAT parquet,
                COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (country, state))""")
        for name, place in (("state", "country, state"), ("city", "country, state, city")):
            database.execute(f"""
                CREATE TABLE by_{name} AS SELECT {place}, brewery_type, count(*) AS breweries
                FROM silver GROUP BY ALL ORDER BY ALL""")
            for form, options in (("csv", "csv"), ("json", "json, ARRAY true"), ("parquet",) * 2):
                database.execute(
                    f"COPY by_{name} TO '{output}/by_{name}.{form}' (FORMAT {options})"
                )


def _read(pages: list[str]) -> str:
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in FIELDS)
    return f"""
        SELECT row_number() OVER () AS number, * FROM read_json({pages}, compression = 'zstd',
            format = 'newline_delimited', columns = {{{columns}}})"""


def _tidy(name: str) -> str:
    spaced = rf"regexp_replace(nfc_normalize({name}), '[\s\p{{Z}}\p{{Cc}}]+', ' ', 'g')"
    return f"nullif(trim({spaced}), '')"


def _judged() -> str:
    tidy = [
        f"coalesce({', '.join(map(_tidy, fields))}) AS {name}" for name, fields in TEXTS.items()
    ]
    texts = [f"{_tidy(name)} AS {name}_text" for name in COORDINATES]
    numbers = [f"TRY_CAST({name}_text AS DOUBLE) AS {name}" for name in COORDINATES]
    nested = [
        f"WHEN starts_with({name}, '{{') THEN '{name}: not text'" for name in TEXTS if name != "id"
    ]
    long = [
        f"WHEN strlen({name}) > {limit} THEN '{name}: longer than {limit} bytes'"
        for name, limit in MAX_BYTES.items()
    ]
    places = []
    for name in COORDINATES:
        low, high = RANGES[name]
        places += [
            f"WHEN NOT regexp_full_match({name}_text, '{_NUMBER}') THEN '{name}: not a number'",
            f"WHEN {name} NOT BETWEEN {low} AND {high} "
            f"THEN '{name}: not within {low:g} to {high:g}'",
        ]
    return rf"""
        WITH tidy AS (SELECT number, {", ".join([*tidy, *texts])}, raw AS record FROM raw),
        placed AS (SELECT tidy.* REPLACE (coalesce(countries.name, country) AS country)
            FROM tidy LEFT JOIN countries ON lower(country) = spelling),
        located AS (SELECT placed.* REPLACE (coalesce(states.name, state) AS state)
            FROM placed LEFT JOIN states ON lower(country || '/' || state) = spelling),
        www AS (SELECT * REPLACE (
                regexp_replace(website_url, '^(?i:www\.)', 'http://\0') AS website_url),
            {", ".join(numbers)} FROM located),
        host AS (SELECT *,
            regexp_extract(website_url, '^(?i:https?)://[^/?#@]+(?:[/?#]|$)') AS host FROM www),
        normal AS (SELECT * EXCLUDE host REPLACE (
            lower(brewery_type) AS brewery_type,
            CASE WHEN regexp_full_match(phone, '[0-9]+\.0') THEN phone[:-3]
                WHEN regexp_full_match(phone, '\+?[ ()./-]*[0-9][0-9 ()./-]*')
                THEN regexp_replace(
                    regexp_replace(phone, '^(\+[^(]*)\(0\)', '\1'), '[^0-9+]', '', 'g')
                ELSE phone END AS phone,
            regexp_replace(lower(host) || website_url[length(host) + 1:],
                '^(https?://[^/?#@]+)/$', '\1') AS website_url)
            FROM host),
        judged AS (SELECT * EXCLUDE (longitude_text, latitude_text),
            lower(brewery_type) IN {KNOWN_TYPES} AS known_type,
            CASE {" ".join(nested)} WHEN id IS NULL THEN 'id: missing'
                {" ".join(long)} {" ".join(places)} END AS reason FROM normal)
        SELECT * REPLACE (CASE WHEN reason IS NOT NULL THEN to_json(record) END AS record)
        FROM judged"""
