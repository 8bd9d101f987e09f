"""Bars and a map as HTML and SVG that need neither a script nor the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.quality.markup import number, percent, shown
from pipeline.quality.profile import CELLS_PER_DEGREE

__all__ = ["bars", "stack", "world_map"]

# Breweries in a cell from which its dot is as large: radius in cells.
_DOTS = ((1, 0.9), (3, 1.4), (10, 2.1), (40, 3.2))
_NORTH, _SOUTH = 80, -58


def bars(counts: Sequence[tuple[str | None, int]], whole: int) -> str:
    """One bar for each count, to the scale of the largest; None stands for unknown."""
    largest = max((count for _, count in counts), default=1)
    rows = "".join(
        f"<li><span>{_name(name)}</span><span class=n>{number(count)}</span>"
        f"<span class='n soft'>{percent(count, whole)}</span>"
        f"<span class=bar><i style='width:{100 * count / largest:.2f}%'></i></span></li>"
        for name, count in counts
    )
    return f"<ol class=bars>{rows}</ol>"


def stack(parts: Sequence[tuple[str, str, int]], whole: int) -> str:
    """One bar of several parts, to the scale of `whole`; each is a name, a style and a count."""
    return "".join(
        f"<i class={style} style='width:{100 * count / max(whole, 1):.3f}%'"
        f" title='{shown(name)}: {number(count)}'></i>"
        for name, style, count in parts
        if count
    )


def world_map(cells: Sequence[tuple[int, int, int]]) -> str:
    """Dots over a graticule of 30 degrees; the unit of the drawing is a cell."""
    rows = [y for _, y, _ in cells]
    top = min([_y(_NORTH), *rows])
    bottom = max([_y(_SOUTH), *(row + 1 for row in rows)])
    width = 360 * CELLS_PER_DEGREE
    label = f"Map of {number(sum(count for *_, count in cells))} breweries that have coordinates"
    return (
        f"<svg class=map viewBox='0 {top} {width} {bottom - top}' role=img aria-label='{label}'>"
        f"<path class=graticule d='{_graticule(top, bottom, width)}'/>"
        f"<path class=equator d='M0 {_y(0)}H{width}'/>{''.join(_dots(cells))}</svg>"
    )


def _graticule(top: int, bottom: int, width: int) -> str:
    meridians = [f"M{x} {top}V{bottom}" for x in range(0, width + 1, 30 * CELLS_PER_DEGREE)]
    parallels = [f"M0 {_y(y)}H{width}" for y in range(-60, 90, 30) if top < _y(y) < bottom]
    return "".join(meridians + parallels)


def _dots(cells: Iterable[tuple[int, int, int]]) -> Iterable[str]:
    paths: dict[float, list[str]] = {radius: [] for _, radius in _DOTS}
    for x, y, count in cells:
        radius = max(radius for least, radius in _DOTS if count >= least)
        # A line of no length with round ends is the shortest way to write a dot.
        paths[radius].append(f"M{x}.5 {y}.5h0")
    for radius, path in paths.items():
        if path:
            yield f"<path class=dots stroke-width='{2 * radius:g}' d='{''.join(path)}'/>"


def _y(latitude: int) -> int:
    return (90 - latitude) * CELLS_PER_DEGREE


def _name(name: str | None) -> str:
    return "<em>unknown</em>" if name is None else f"<bdi>{shown(name, 60)}</bdi>"
