"""Ways in which a source misbehaves, by name: `--fault html@10` spoils every tenth answer."""

from __future__ import annotations

import dataclasses

from tests.brewery_api.server import Answer, BreweryServer, Spoil

__all__ = ["FAULTS", "parse"]


def _shift(server: BreweryServer, answer: Answer) -> Answer:
    """One more brewery, before all others: every row moves by one from the next answer on."""
    new = server.sorted("id")[0]
    first = {**new, "id": f"0-{len(server.requests):06d}"}
    server.change([first, *server.breweries])
    return answer


def _cut(answer: Answer) -> Answer:
    return dataclasses.replace(answer, missing=len(answer.body) // 2)


def _short(answer: Answer) -> Answer:
    return dataclasses.replace(answer, body=answer.body[: len(answer.body) // 2])


HTML = Answer(200, b"<!doctype html><title>Back soon</title>", content_type="text/html")
FAULTS: dict[str, Spoil] = {
    "429": lambda server, _: Answer(429, b"", {"Retry-After": server.retry_after}),
    "500": lambda *_: Answer(500, b"Internal Server Error"),
    "slow": lambda _, answer: dataclasses.replace(answer, delay=5.0),
    "drip": lambda _, answer: dataclasses.replace(answer, drip=0.01),
    "cut": lambda _, answer: _cut(answer),
    "short": lambda _, answer: _short(answer),
    "html": lambda *_: HTML,
    "latin-1": lambda *_: Answer(200, '["Brauhaus Zum L\u00f6wen"]'.encode("latin-1")),
    "empty": lambda *_: Answer(200, b"[]"),
    "shift": _shift,
}


def parse(text: str) -> tuple[int, Spoil]:
    """`NAME@N` as the server takes it; ValueError for anything else."""
    name, _, every = text.partition("@")
    if name not in FAULTS or not every.isdecimal() or int(every) < 1:
        raise ValueError(f"{text!r} is not NAME@N, with one of {', '.join(FAULTS)}")
    return int(every), FAULTS[name]
