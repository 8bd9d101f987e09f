"""The rows that the server serves: from a CSV file, or generated with the dirt the real set has."""

from __future__ import annotations

import csv
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Brewery = dict[str, Any]

TYPES = ("micro", "brewpub", "planning", "regional", "contract", "large", "taproom", "nano")
PLACES = (
    ("United States", "Missouri", "Kansas City", "631", -94.58, 39.1),
    ("United States", "California", "San Diego", "921", -117.16, 32.72),
    ("United States", "Oregon", "Portland", "972", -122.68, 45.52),
    ("United States", "New York", "Rochester", "146", -77.61, 43.16),
    ("Germany", "Bayern", "Bamberg", "96", 10.89, 49.89),
    ("Germany", "Thüringen", "Erfurt", "99", 11.03, 50.98),
    ("Belgium", "Vlaanderen", "Mol", "24", 5.11, 51.19),
    ("Ireland", "Cork", "Cork", "T1", -8.47, 51.9),
    ("South Korea", "Daegu", "Daegu", "41", 128.6, 35.87),
    ("Finland", "Päijät-Häme", "Lahti", "15", 25.66, 60.98),
    ("New Zealand", "Otago Region", "Dunedin", "90", 170.5, -45.87),
)
NAMES = ("Anchor", "Black Oak", "Cooper's", "Drei Kronen", "Élan", "Fox & Hound", '"Old" Mill')
KINDS = ("Brewing Co", "Brewery", "Brauerei", "Ales, Ltd", "酒造")


@dataclass(frozen=True)
class Dirt:
    """How many generated rows are dirty, each at a fixed place; tests count on these numbers."""

    duplicates: int
    rejectable: int
    mixed_case: int

    @classmethod
    def of(cls, rows: int) -> Dirt:
        return cls(duplicates=rows // 100, rejectable=rows // 200, mixed_case=rows // 50)


def generate(rows: int, seed: int) -> list[Brewery]:
    """`rows` breweries, the same for the same seed; `Dirt.of(rows)` says how dirty they are."""
    chance = random.Random(seed)
    dirt = Dirt.of(rows)
    distinct = rows - dirt.duplicates
    breweries = [_brewery(chance, number) for number in range(distinct)]
    for number in range(dirt.rejectable):
        _spoil(breweries[number], number)
    # Behind the spoiled rows, so that a row is dirty in one way only.
    mixed = breweries[dirt.rejectable : dirt.rejectable + dirt.mixed_case]
    for number, brewery in enumerate(mixed):
        _misspell(brewery, number)
    again = breweries[distinct - dirt.duplicates :]
    breweries += [brewery | {"name": f"{brewery['name']} (again)"} for brewery in again]
    return breweries


def _brewery(chance: random.Random, number: int) -> Brewery:
    country, state, city, postal, longitude, latitude = chance.choice(PLACES)
    located = chance.random() > 0.2
    position = (
        round(longitude + chance.uniform(-1, 1), 7),
        round(latitude + chance.uniform(-1, 1), 7),
    )
    as_text = number % 2 == 0
    return complete(
        {
            "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "name": f"{chance.choice(NAMES)} {chance.choice(KINDS)} {number}",
            "brewery_type": chance.choice(TYPES),
            "address_1": f"{chance.randint(1, 9999)} Main St" if chance.random() > 0.06 else None,
            "address_2": f"Suite {number}" if chance.random() > 0.97 else None,
            "address_3": None,
            "city": city,
            "state_province": state,
            "postal_code": postal + str(chance.randint(10, 99)),
            "country": country,
            "longitude": _coordinate(position[0], as_text) if located else None,
            "latitude": _coordinate(position[1], as_text) if located else None,
            "phone": str(chance.randint(10**9, 10**10 - 1)) if chance.random() > 0.11 else None,
            "website_url": f"http://brewery{number}.example" if chance.random() > 0.11 else None,
        }
    )


def _coordinate(value: float, as_text: bool) -> float | str:
    return str(value) if as_text else value


def _spoil(brewery: Brewery, number: int) -> None:
    brewery.update(
        (
            {"latitude": "91.5", "longitude": "10"},
            {"latitude": 10.5, "longitude": -180.25},
            {"latitude": "n/a"},
            {"name": {"en": "An object"}},
        )[number % 4]
    )


def _misspell(brewery: Brewery, number: int) -> None:
    country, state = (
        ("United States", "MIssouri"),
        ("South Korea", "Deagu"),
        ("germany", " BAYERN "),
    )[number % 3]
    brewery.update(country=country, state_province=state, state=state)


def complete(brewery: Brewery) -> Brewery:
    """Add the two fields that the API still gives under their older names."""
    return brewery | {"state": brewery["state_province"], "street": brewery["address_1"]}


def read_csv(path: Path) -> list[Brewery]:
    """The rows of the published data set; an empty cell is a null, as the API gives it."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            complete({name: value or None for name, value in row.items()})
            for row in csv.DictReader(file)
        ]
