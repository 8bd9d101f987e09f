"""What readers may rely on in each table: data that the cleaning rules do not share.

Declared apart from the schemas that write the tables, so that a change there cannot pass unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.gold import TABLES

__all__ = ["GOLD", "QUARANTINE", "SILVER", "Column", "Contract"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The Arrow type of a column and the values it may hold; a bound that is None does not bind."""

    type: str = "string"
    nullable: bool = True
    low: float | None = None
    high: float | None = None

    @property
    def bounded(self) -> bool:
        return self.low is not None or self.high is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The columns of a table and those that together occur once."""

    columns: Mapping[str, Column]
    unique: tuple[str, ...]


SILVER = Contract(
    columns=MappingProxyType(
        {
            "id": Column(nullable=False),
            "name": Column(),
            "brewery_type": Column(),
            "known_type": Column(type="bool"),
            "address_1": Column(),
            "address_2": Column(),
            "address_3": Column(),
            "city": Column(),
            "postal_code": Column(),
            "phone": Column(),
            "website_url": Column(),
            "longitude": Column(type="double", low=-180.0, high=180.0),
            "latitude": Column(type="double", low=-90.0, high=90.0),
            "country": Column(),
            "state": Column(),
        }
    ),
    unique=("id",),
)

QUARANTINE = Contract(
    columns=MappingProxyType(
        {
            "page": Column(type="int32", nullable=False, low=1),
            "row": Column(type="int32", nullable=False, low=1),
            "id": Column(),
            "reason": Column(nullable=False),
            "record": Column(nullable=False),
        }
    ),
    unique=("page", "row"),
)

GOLD: Mapping[str, Contract] = MappingProxyType(
    {
        table: Contract(
            columns={
                **{name: Column() for name in (*place, "brewery_type")},
                "breweries": Column(type="int64", nullable=False, low=1),
            },
            unique=(*place, "brewery_type"),
        )
        for table, place in TABLES.items()
    }
)
