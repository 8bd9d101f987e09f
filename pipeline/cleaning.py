"""From bronze lines to silver's rows: every line is read, judged, and accepted or rejected."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline import places
from pipeline.database import Database
from pipeline.records import read_exactly
from pipeline.rules import MACROS, RANGES, READ_LINES, cleaned

__all__ = [
    "QUARANTINE_SCHEMA",
    "RANGES",
    "READING_SCHEMA",
    "SCHEMA",
    "clean",
    "last_readings",
    "prepare",
]

_TEXT = pa.string()
SCHEMA = pa.schema(
    [
        pa.field("id", _TEXT, nullable=False),
        pa.field("name", _TEXT),
        pa.field("brewery_type", _TEXT),
        # False for a type that is none of the documented ones; null where there is no type.
        pa.field("known_type", pa.bool_()),
        pa.field("address_1", _TEXT),
        pa.field("address_2", _TEXT),
        pa.field("address_3", _TEXT),
        pa.field("city", _TEXT),
        pa.field("postal_code", _TEXT),
        pa.field("phone", _TEXT),
        pa.field("website_url", _TEXT),
        pa.field("longitude", pa.float64()),
        pa.field("latitude", pa.float64()),
        pa.field("country", _TEXT),
        pa.field("state", _TEXT),
    ]
)
_WHERE_READ = [
    pa.field("page", pa.int32(), nullable=False),
    pa.field("row", pa.int32(), nullable=False),
]
# An accepted row and where it was read: of those with one id, the last is kept.
READING_SCHEMA = pa.schema([*_WHERE_READ, *SCHEMA])
QUARANTINE_SCHEMA = pa.schema(
    [
        *_WHERE_READ,
        pa.field("id", _TEXT),
        pa.field("reason", _TEXT, nullable=False),
        pa.field("record", _TEXT, nullable=False),
    ]
)
# Lines that are read exactly at a time.
_UNREAD_BATCH = 10_000


def prepare(database: Database) -> None:
    """Make what `clean` goes by: the rules' macros, and the known spellings of places."""
    database.execute(MACROS)
    _spellings(database, "countries", _countries())
    _spellings(database, "states", _states())


def clean(database: Database, lines: Any) -> None:
    """Apply every rule to lines of `lines.LINES_SCHEMA`.

    In the prepared database there are then the views `readings` (accepted rows, of READING_SCHEMA)
    and `rejected` (of QUARANTINE_SCHEMA).
    """
    database.register("lines", lines)
    database.execute(f"CREATE OR REPLACE TABLE cleaned AS {cleaned(READ_LINES)}")
    database.unregister("lines")
    _read_what_is_unread(database)
    database.execute(f"""
        CREATE OR REPLACE VIEW readings AS
        SELECT {", ".join(READING_SCHEMA.names)} FROM cleaned WHERE reason IS NULL AND NOT unread;
        CREATE OR REPLACE VIEW rejected AS
        SELECT {", ".join(QUARANTINE_SCHEMA.names)} FROM cleaned WHERE reason IS NOT NULL""")


def last_readings() -> str:
    """The query of the last reading of each id in `readings`, in the order of the partitions."""
    # Places are numbered first: numbers sort in two thirds of the time of their names.
    return f"""
        WITH superseded AS (
            SELECT page, row FROM readings
            WHERE id IN (SELECT id FROM readings GROUP BY id HAVING count(*) > 1)
            QUALIFY row_number() OVER (PARTITION BY id ORDER BY page DESC, row DESC) > 1),
        numbered AS (
            SELECT country, state, CAST(row_number() OVER (
                ORDER BY country NULLS LAST, state NULLS LAST) AS INTEGER) AS place
            FROM (SELECT DISTINCT country, state FROM readings))
        SELECT {", ".join(f"readings.{name}" for name in SCHEMA.names)}
        FROM readings ANTI JOIN superseded USING (page, row)
        JOIN numbered ON readings.country IS NOT DISTINCT FROM numbered.country
            AND readings.state IS NOT DISTINCT FROM numbered.state
        ORDER BY place, id"""


def _read_what_is_unread(database: Database) -> None:
    query = "SELECT page, row, record AS line FROM cleaned WHERE unread"
    with database.cursor() as reading:
        for batch in reading.sql(query).to_arrow_reader(_UNREAD_BATCH):
            database.register("records", read_exactly(batch))
            again = cleaned("SELECT *, false AS unread FROM records")
            database.execute(f"INSERT INTO cleaned BY NAME {again}")
            database.unregister("records")


def _spellings(database: Database, table: str, names: dict[str, str]) -> None:
    """A table of lower-case spellings; DuckDB lowers them, as it does the texts to look up."""
    database.register("listed", pa.table({"spelling": list(names), "name": list(names.values())}))
    database.execute(
        f"CREATE TABLE {table} AS SELECT lower(spelling) AS spelling, name FROM listed"
    )
    database.unregister("listed")


def _countries() -> dict[str, str]:
    return {name: name for name in places.STATES} | places.COUNTRY_VARIANTS


def _states() -> dict[str, str]:
    listed = {
        (country, state): state
        for country, states in places.STATES.items()
        for state in states.split("|")
    }
    return {"/".join(place): name for place, name in (listed | places.STATE_VARIANTS).items()}
