"""A bronze layer of generated breweries, as dirty as the real ones and as often as one likes."""

from __future__ import annotations

import hashlib
import json
import random
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.lake import Lake
from pipeline.places import STATES
from pipeline.rules import KNOWN_TYPES

__all__ = ["RUN", "generate", "pages"]

RUN = "benchmark"
# The API gives 200 rows a page; so many files would time the file system.
ROWS_PER_PAGE = 20_000
_STATES = {country: states.split("|") for country, states in STATES.items()}
_COUNTRIES = list(_STATES)
# As in the published data, seven in ten are in the United States.
_HOME = "United States"
_NAMES = ("Anchor", "Black Oak", "Cooper's", "Drei Kronen", "Élan", "Fox & Hound", "Old Mill")
_KINDS = ("Brewing Co", "Brewery", "Brauerei", "Ales, Ltd", "Brew Pub")


def generate(lake: Lake, rows: int) -> None:
    """Write the bronze of so many rows, always the same, in the API's order of ids."""
    count = -(-rows // ROWS_PER_PAGE)
    Path(lake.path("bronze", f"run={RUN}")).mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        landed = list(pool.map(partial(_write, lake.root, rows), range(count)))
    manifest = {
        "pages": landed,
        "page_count": count,
        "row_count": rows,
        "source_total": rows,
    }
    lake.write_json(f"bronze/run={RUN}/manifest.json", manifest)


def pages(lake: Lake) -> list[str]:
    """The paths of all pages, in the order of reading."""
    manifest = lake.read_json(f"bronze/run={RUN}/manifest.json")
    return [lake.path("bronze", f"run={RUN}", page["path"]) for page in manifest["pages"]]


def _write(root: str, rows: int, number: int) -> dict[str, Any]:
    first = number * ROWS_PER_PAGE
    chance = random.Random(number)
    lines = [_line(chance, row, rows) for row in range(first, min(first + ROWS_PER_PAGE, rows))]
    data = pa.Codec("zstd").compress("".join(lines).encode(), asbytes=True)
    name = f"page-{number + 1:06d}.ndjson.zst"
    (Path(root) / "bronze" / f"run={RUN}" / name).write_bytes(data)
    return {
        "page": number + 1,
        "path": name,
        "rows": len(lines),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _line(chance: random.Random, row: int, rows: int) -> str:
    some = chance.random
    country = _HOME if some() < 0.7 else _COUNTRIES[int(some() * len(_COUNTRIES))]
    states = _STATES[country]
    state = states[int(some() * len(states))]
    # One row in a hundred is read again, as happens when pages shift.
    number = int(some() * row) if row % 100 == 99 else row
    name = f"{_NAMES[int(some() * 7)]} {_KINDS[int(some() * 5)]} {row}"
    longitude: object = None
    latitude: object = None
    if some() > 0.2:
        longitude, latitude = round(some() * 360 - 180, 7), round(some() * 180 - 90, 7)
        if row % 2:
            longitude, latitude = str(longitude), str(latitude)
    address = f"{int(some() * 9999)} Main St" if some() > 0.06 else None
    phone = None
    if some() > 0.11:
        digits = int(some() * 9e9) + 10**9
        phone = str(digits) if some() < 0.75 else f"+49 {digits % 9973} {digits % 999983}"
    website = f"http://www.brewery{row}.example" if some() > 0.11 else None
    record: dict[str, object] = {
        "id": _id(number, rows),
        "name": name,
        "brewery_type": KNOWN_TYPES[int(some() * 14)],
        "address_1": address,
        "address_2": None,
        "address_3": None,
        "city": f"{state} City {int(some() * 30)}",
        "state_province": state,
        "postal_code": str(int(some() * 90_000) + 10_000),
        "country": country,
        "longitude": longitude,
        "latitude": latitude,
        "phone": phone,
        "website_url": website,
        "state": state,
        "street": address,
    }
    _soil(record, row)
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _soil(record: dict[str, object], row: int) -> None:
    """Make the record dirty, in one way, if it is its turn."""
    match row % 200:
        case 0:
            record["latitude"] = "n/a"
        case 50 | 150:
            record["name"] = f"  {record['name']}\u00a0 & Söhne "
        case 100:
            record["longitude"] = 180.5
        case 101:
            record["name"] = {"en": record["name"]}
        case 3 | 53 | 103 | 153:
            record["state"] = record["state_province"] = str(record["state"]).upper()
        case 5:
            record["country"] = str(record["country"]).lower()
        case 7 | 57 | 107 | 157:
            record["website_url"] = f"http://Www.Brewery{row}.Example/"
        case 9:
            record["brewery_type"] = "Moonbase"


def _id(number: int, rows: int) -> str:
    # Spread over all there are, in ascending order, with digits that look random.
    text = f"{(number * (2**32 // rows) if rows < 2**32 else number):08x}"
    tail = f"{(number * 0x9E3779B97F4A7C15) % 2**96:024x}"
    return f"{text}-{tail[:4]}-{tail[4:8]}-{tail[8:12]}-{tail[12:]}"
