"""The spellings of places, in lower case."""

from __future__ import annotations

from pipeline import places

__all__ = ["COUNTRIES", "STATES"]

COUNTRIES = {
    spelling.lower(): name
    for spelling, name in ({name: name for name in places.STATES} | places.COUNTRY_VARIANTS).items()
}
STATES = {
    f"{country}/{state}".lower(): state
    for country, states in places.STATES.items()
    for state in states.split("|")
} | {"/".join(place).lower(): name for place, name in places.STATE_VARIANTS.items()}
