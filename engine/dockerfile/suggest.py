"""`did you mean …?` for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable

_FARTHEST = 2


def suggestion(word: str, names: Iterable[str]) -> str:
    """` (did you mean NAME?)` for the nearest of `names`, or "" when none is near."""
    ranked = sorted((distance(word, name), name) for name in names)
    if not ranked or not 0 < ranked[0][0] <= _FARTHEST:
        return ""
    return f" (did you mean {ranked[0][1]}?)"


def distance(left: str, right: str) -> int:
    """How many characters must be added, removed or replaced to turn one into the other."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
