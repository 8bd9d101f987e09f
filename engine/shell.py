"""The shell for whom a terminal is opened unasked."""

from __future__ import annotations

LINE_EDITING = ("sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")
"""One whose line can be edited, where the container has it."""
