"""What counts as a space, letter or digit here: the classes BuildKit's parser uses.

Python's `str.isspace` takes the separators 0x1c to 0x1f too, so it cannot be used.
"""

from __future__ import annotations

import re

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + ("\u2028\u2029\u202f\u205f\u3000")
)
BLANKS = re.compile(r"[\t\v\f\r ]+")


def is_name_character(char: str) -> bool:
    """Whether `char` may stand in a variable's name."""
    return char == "_" or char.isalpha() or char.isdecimal()


def quoted(text: str) -> str:
    """`text` in double quotes, with control characters, quotes and backslashes escaped."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    body = "".join(short.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}") for c in text)
    return f'"{body}"'
