"""Commands that the design names and that cannot act yet: they say so instead of pretending."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from ci.command_line import Options
from ci.errors import UsageError

_SENTENCES = {
    "nightly": "`nightly` cannot run yet: `integration` runs the same stack and verifies it.",
}


def main(options: Options, root: Path) -> NoReturn:
    """Raise UsageError with the command's sentence."""
    raise UsageError(_SENTENCES[options.command])
