"""The rules of silver once more, a row at a time in plain Python: what the engine must agree with.

Written from the rules' description, with nothing of the engine's: slow, and easy to read.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

from pipeline import places
from pipeline.records import COORDINATES, FIELDS
from pipeline.rules import KNOWN_TYPES, MAX_BYTES, RANGES, TEXTS

__all__ = ["expected"]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_COUNTRIES = {
    spelling.lower(): name
    for spelling, name in ({n: n for n in places.STATES} | places.COUNTRY_VARIANTS).items()
}
_STATES = {
    (country.lower(), state.lower()): state
    for country, states in places.STATES.items()
    for state in states.split("|")
} | {
    (country.lower(), spelling.lower()): state
    for (country, spelling), state in places.STATE_VARIANTS.items()
}


def expected(lines: list[str]) -> tuple[dict[str, dict[str, Any]], dict[int, str], int]:
    """Silver's rows by id, the reasons by row (from 1), and the number of duplicates."""
    silver: dict[str, dict[str, Any]] = {}
    reasons: dict[int, str] = {}
    duplicates = 0
    for number, line in enumerate(lines, 1):
        row, reason = _clean(line)
        if reason:
            reasons[number] = reason
            continue
        duplicates += row["id"] in silver
        silver[row["id"]] = row
    return silver, reasons, duplicates


def _clean(line: str) -> tuple[dict[str, Any], str | None]:
    fields, reason = _fields(line)
    if reason:
        return {}, reason
    row: dict[str, Any] = {}
    for name, sources in TEXTS.items():
        texts = (_tidy(fields[source]) for source in sources)
        row[name] = next((text for text in texts if text is not None), None)
    row["brewery_type"] = row["brewery_type"] and row["brewery_type"].lower()
    row["known_type"] = row["brewery_type"] and row["brewery_type"] in KNOWN_TYPES
    if row["country"]:
        row["country"] = _COUNTRIES.get(row["country"].lower(), row["country"])
    if row["country"] and row["state"]:
        place = (row["country"].lower(), row["state"].lower())
        row["state"] = _STATES.get(place, row["state"])
    row["phone"] = row["phone"] and _phone(row["phone"])
    row["website_url"] = row["website_url"] and _website(row["website_url"])
    if row["id"] is None:
        return row, "id: missing"
    for name, limit in MAX_BYTES.items():
        if len((row[name] or "").encode()) > limit:
            return row, f"{name}: longer than {limit} bytes"
    for name in COORDINATES:
        row[name], reason = _coordinate(name, _tidy(fields[name]))
        if reason:
            return row, reason
    return row, None


def _fields(line: str) -> tuple[dict[str, str | None], str | None]:
    def first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(reversed(pairs))

    try:
        record = json.loads(line, parse_constant=str, object_pairs_hook=first)
    except ValueError:
        return {}, "not JSON"
    if not isinstance(record, dict):
        return {}, "not a JSON object"
    fields: dict[str, str | None] = {}
    for name in FIELDS:
        value = record.get(name)
        if isinstance(value, bool | dict | list):
            return {}, f"{name}: not text"
        text = None if value is None else str(value)
        if text and text != text.encode(errors="replace").decode():
            return {}, f"{name}: not text"
        fields[name] = text
    return fields, None


def _tidy(text: str | None) -> str | None:
    if text is None:
        return None
    composed = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if _is_space(character) else character for character in composed)
    return re.sub(" +", " ", spaced).strip(" ") or None


def _is_space(character: str) -> bool:
    return unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc")


def _phone(phone: str) -> str:
    if re.fullmatch(r"[0-9]+\.0", phone):
        return phone[:-2]
    if not re.fullmatch(r"\+?[ ()./-]*[0-9][0-9 ()./-]*", phone):
        return phone
    if phone.startswith("+"):
        abroad, bracket, rest = phone.partition("(")
        phone = abroad + (rest[2:] if rest.startswith("0)") else bracket + rest)
    return re.sub(r"[^0-9+]", "", phone)


def _website(url: str) -> str:
    if url.lower().startswith("www."):
        url = f"http://{url}"
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return url
    found = re.match(r"[^/?#]*", rest)
    host = found[0] if found else ""
    if not host or "@" in host:
        return url
    path = rest[len(host) :]
    return f"{scheme.lower()}://{host.lower()}{'' if path == '/' else path}"


def _coordinate(name: str, text: str | None) -> tuple[float | None, str | None]:
    if text is None:
        return None, None
    if not _NUMBER.fullmatch(text):
        return None, f"{name}: not a number"
    low, high = RANGES[name]
    value = float(text)
    if math.isinf(value) or not low <= value <= high:
        return None, f"{name}: not within {low:g} to {high:g}"
    return value, None
