r"""The rules of silver: data, and the SQL that applies them.

A rule first looks whether there is anything to do: that costs much less than doing it, and few
rows need it.
"""

from __future__ import annotations

from pipeline.records import COORDINATES, FIELDS

__all__ = ["KNOWN_TYPES", "MACROS", "MAX_BYTES", "RANGES", "READ_LINES", "cleaned"]

# The columns of text, and the fields that each is taken from: the first that is not blank.
TEXTS: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "name": ("name",),
    "brewery_type": ("brewery_type",),
    "address_1": ("address_1", "street"),
    "address_2": ("address_2",),
    "address_3": ("address_3",),
    "city": ("city",),
    "state": ("state_province", "state"),
    "postal_code": ("postal_code",),
    "country": ("country",),
    "phone": ("phone",),
    "website_url": ("website_url",),
}
# Country and state name a folder, where each byte may take three and 255 is the end.
MAX_BYTES = dict.fromkeys(TEXTS, 4096) | {"country": 80, "state": 80}
RANGES = {"longitude": (-180.0, 180.0), "latitude": (-90.0, 90.0)}
# Those of the API's documentation and of its published data; another is kept, and flagged.
KNOWN_TYPES = (
    *("bar", "beergarden", "brewpub", "cidery", "closed", "contract", "large", "location"),
    *("micro", "nano", "planning", "proprietor", "regional", "taproom"),
)

MACROS = r"""
-- Whether a text may have been an object, a list or a boolean before DuckDB made it text.
CREATE MACRO was_no_text(value) AS
    value BETWEEN '[' AND '\' OR value BETWEEN '{' AND '|' OR value IN ('true', 'false');

-- Whether any text of a line may hold space to make one: an escape, a control character, a run.
CREATE MACRO is_spaced(line) AS
    contains(line, '\') OR contains(line, chr(127)) OR contains(line, '  ');

-- Composed (NFC), each run of space one space, none at the edges; blank is null.
CREATE MACRO made_tidy(value) AS
    nullif(trim(regexp_replace(nfc_normalize(value), '[\s\p{Z}\p{Cc}]+', ' ', 'g')), '');
CREATE MACRO tidy(value, spaced, wide) AS CASE
    WHEN value < '!' OR suffix(value, ' ') OR spaced OR (wide AND strlen(value) <> length(value))
    THEN made_tidy(value)
    ELSE value END;

CREATE MACRO is_number(value) AS
    regexp_full_match(value, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?');
CREATE MACRO tidy_number(value) AS
    CASE WHEN is_number(value) THEN value ELSE made_tidy(value) END;

-- Digits after a plus or none, without the 0 that is not dialled from abroad and without the
-- decimals that spreadsheets add; what is written otherwise is kept.
CREATE MACRO normal_phone(value) AS CASE
    WHEN regexp_full_match(value, '[0-9]+') THEN value
    WHEN regexp_full_match(value, '[0-9]+\.0') THEN value[:-3]
    WHEN regexp_full_match(value, '\+?[ ()./-]*[0-9][0-9 ()./-]*')
    THEN regexp_replace(regexp_replace(value, '^(\+[^(]*)\(0\)', '\1'), '[^0-9+]', '', 'g')
    ELSE value END;

-- Scheme and host in lower case and no slash behind a bare host; what is no URL is kept.
CREATE MACRO lower_host(url, host) AS lower(host) || url[length(host) + 1:];
CREATE MACRO with_scheme(url) AS
    CASE WHEN starts_with(lower(url), 'www.') THEN 'http://' || url ELSE url END;
CREATE MACRO normal_url(url) AS CASE
    WHEN starts_with(url, 'http') AND url = lower(url) AND NOT suffix(url, '/') THEN url
    ELSE regexp_replace(
        lower_host(
            with_scheme(url), regexp_extract(with_scheme(url), '^(?i:https?)://[^/?#@]+(?:[/?#]|$)')
        ),
        '^(https?://[^/?#@]+)/$', '\1')
    END;
"""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _columns(expressions: dict[str, str]) -> str:
    return ",\n    ".join(f"{value} AS {name}" for name, value in expressions.items())


# Lines as records of text. Where DuckDB may have taken what is no text for one, or no object for
# one, the record is `unread`.
_NO_TEXT = " OR ".join(f"was_no_text({name})" for name in FIELDS)
READ_LINES = f"""
SELECT *, coalesce(id IS NULL OR {_NO_TEXT}, false) AS unread
FROM (
    SELECT page, row, line, NULL::VARCHAR AS defect,
    {_columns({name: f"record.{name}" for name in FIELDS})}
    FROM (
        SELECT page, row, line, TRY(json_transform(
            line, '{{{",".join(f'"{name}":"VARCHAR"' for name in FIELDS)}}}')) AS record
        FROM lines))"""


def cleaned(records: str) -> str:
    """The query that applies every rule to a query of records.

    Its rows have the columns of silver and where they were read; those with a `reason` are
    rejected, with the `record` as it came.
    """
    tidy = {
        name: f"coalesce({', '.join(f'tidy({field}, spaced, wide)' for field in fields)})"
        for name, fields in TEXTS.items()
    }
    written = {f"{name}_text": f"tidy_number({name})" for name in COORDINATES}
    values = {name: f"TRY_CAST({name}_text AS DOUBLE)" for name in COORDINATES}
    return f"""
WITH noted AS (
    SELECT *, is_spaced(line) AS spaced, strlen(line) <> length(line) AS wide FROM ({records})),
tidied AS (SELECT page, row, line, defect, unread,
    {_columns(tidy | written)}
    FROM noted),
placed AS (
    SELECT tidied.* REPLACE (coalesce(countries.name, country) AS country)
    FROM tidied LEFT JOIN countries ON lower(tidied.country) = countries.spelling),
located AS (
    SELECT placed.* REPLACE (coalesce(states.name, state) AS state)
    FROM placed LEFT JOIN states ON lower(placed.country || '/' || state) = states.spelling),
normal AS (SELECT * REPLACE (
    lower(brewery_type) AS brewery_type,
    normal_phone(phone) AS phone,
    normal_url(website_url) AS website_url),
    {_columns(values)}
    FROM located),
judged AS (SELECT *, brewery_type IN {KNOWN_TYPES} AS known_type,
    CASE WHEN unread THEN NULL
    WHEN defect IS NOT NULL THEN defect
    WHEN id IS NULL THEN 'id: missing'
    {" ".join(_too_long(name, limit) for name, limit in MAX_BYTES.items())}
    {" ".join(_no_coordinate(name) for name in COORDINATES)} END AS reason
    FROM normal)
SELECT * EXCLUDE (line, defect, {", ".join(written)}),
    CASE WHEN unread OR reason IS NOT NULL THEN rtrim(line, chr(10)) END AS record
FROM judged"""


def _too_long(name: str, limit: int) -> str:
    return f"WHEN strlen({name}) > {limit} THEN {_literal(f'{name}: longer than {limit} bytes')}"


def _no_coordinate(name: str) -> str:
    low, high = RANGES[name]
    return f"""
    WHEN NOT is_number({name}_text) THEN {_literal(f"{name}: not a number")}
    WHEN {name}_text IS NOT NULL AND coalesce({name} NOT BETWEEN {low} AND {high}, true)
    THEN {_literal(f"{name}: not within {low:g} to {high:g}")}"""
