"""Shell wildcards as `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}` use them."""

from __future__ import annotations

import re

from engine.dockerfile.errors import ExpansionError


def remove_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """`value` without the part at its start that `pattern` matches."""
    match = _compile(pattern, greedy=longest).match(value)
    return value[match.end() :] if match else value


def remove_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """`value` without the part at its end that `pattern` matches."""
    # A regular expression finds the leftmost match, so both sides are read backwards.
    return remove_prefix(value[::-1], _reversed(pattern), longest=longest)[::-1]


def replace(value: str, pattern: str, text: str, *, everywhere: bool) -> str:
    """`value` with `text` in place of the first match of `pattern`, or of every one."""
    done: list[str] = []
    end = 0
    for match in _compile(pattern, greedy=True).finditer(value):
        if done and match.end() == match.start() == end:
            continue  # an empty match right behind another one does not count
        done += [value[end : match.start()], text]
        end = match.end()
        if not everywhere:
            break
    return "".join(done) + value[end:]


def _compile(pattern: str, *, greedy: bool) -> re.Pattern[str]:
    out: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            out.append(re.escape(_escaped(pattern, next(chars, ""))))
        else:
            out.append(re.escape(char))
    return re.compile("".join(out))


def _escaped(pattern: str, char: str) -> str:
    # `}` and `/` end a part of `${...}`, and are escaped for that reason alone.
    if char and char in "*?\\}/":
        return char
    message = f"invalid pattern ({pattern}) in substitution: invalid escape '\\{char}'"
    raise ExpansionError(message)


def _reversed(pattern: str) -> str:
    pairs = re.findall(r"\\.|.|\\", pattern, re.DOTALL)
    return "".join(reversed(pairs))
