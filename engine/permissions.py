"""Symbolic permissions as in chmod(1): `u=rwX,go=rX`, `+x`, `g=u`."""

from __future__ import annotations

import re
import stat

_CLAUSE = re.compile(r"(?P<who>[ugoa]*)(?P<actions>(?:[+=-](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([+=-])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": stat.S_ISUID | 0o700, "g": stat.S_ISGID | 0o070, "o": stat.S_ISVTX | 0o007}


def valid(text: str) -> bool:
    """Whether `text` is a list of symbolic permissions."""
    return all(_CLAUSE.fullmatch(clause) for clause in text.split(","))


def applied(text: str, mode: int) -> int:
    """The permission bits of a file whose mode is `mode`, changed by the valid `text`.

    The mask of the process does not count: who is not named is everyone.
    """
    bits = stat.S_IMODE(mode)
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ValueError(f"{text} are no symbolic permissions")
        who = "ugo" if "a" in match["who"] or not match["who"] else match["who"]
        for operator, letters in _ACTION.findall(match["actions"]):
            bits = _changed(bits, who, operator, _meant(letters, who, bits, stat.S_ISDIR(mode)))
    return bits


def _changed(bits: int, who: str, operator: str, meant: int) -> int:
    if operator == "+":
        return bits | meant
    if operator == "-":
        return bits & ~meant
    for name in who:
        bits &= ~_WHO[name]
    return bits | meant


def _meant(letters: str, who: str, bits: int, directory: bool) -> int:
    """The bits that `letters` stand for, of those that belong to `who`."""
    if letters in _SHIFTS:
        copied = bits >> _SHIFTS[letters] & 0o7
        everyone = copied * 0o111
    else:
        everyone = 0
        for letter in letters:
            everyone |= _BITS.get(letter, 0)
        if "X" in letters and (directory or bits & 0o111):
            everyone |= 0o111
        if "s" in letters:
            everyone |= stat.S_ISUID | stat.S_ISGID
        if "t" in letters:
            everyone |= stat.S_ISVTX
    mask = 0
    for name in who:
        mask |= _WHO[name]
    return everyone & mask
