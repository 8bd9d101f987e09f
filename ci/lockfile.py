"""Reads hashed lock files."""

from __future__ import annotations

import re


def only(text: str, package: str) -> str:
    """The part of a lock file that pins one package; raises LookupError where it is not pinned."""
    pattern = rf"^{re.escape(package)}==.*\\\n(?:[ \t]+--hash=.*\n?)+"
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise LookupError(f"The lock file does not pin {package}.")
    return found.group()
