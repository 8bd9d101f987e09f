"""What a person sees of a run: a live line for each stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console as Terminal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ci.graph import NOT_ASKED
from ci.report import Report
from ci.stage import Result, Status

_STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "dim",
    Status.CANCELLED: "yellow",
}


class Console:
    """Watches a run; everything goes to one stream, so that `--json` keeps stdout to itself."""

    def __init__(self, *, json: bool, quiet: bool, verbose: bool) -> None:
        self._terminal = Terminal(
            file=sys.stderr if json else sys.stdout, highlight=False, soft_wrap=True
        )
        self._quiet = quiet
        self._verbose = verbose
        self._live: Live | None = None
        self._running: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def line(self, text: str) -> None:
        """One line for the reader, unless the run is quiet."""
        if not self._quiet:
            self._print(text)

    def say(self, stage: str, text: str) -> None:
        """What a stage is doing now: beside its live line, or as a line when asked for."""
        self._said[stage] = text
        self._refresh()
        if self._verbose:
            self._print(f"{stage}: {text}")

    def tell(self, stage: str, text: str) -> None:
        """What the reader of a run must know while it goes on, with a terminal or without."""
        self.line(f"{stage}: {text}")

    def watch(self, stage: str, result: Result | None) -> None:
        """A stage starts (None) or ends."""
        if result is None:
            self._running[stage] = time.monotonic()
            self._refresh()
            if not self._live:
                self.line(f"{stage}: started")
            return
        self._running.pop(stage, None)
        self._refresh()
        if result.reason == NOT_ASKED:
            return
        if result.status is Status.FAILED or not self._quiet:
            self._print(ended(stage, result), style=_STYLES[result.status])
        if result.detail:
            self._print(_indented(result.detail))
        if result.log:
            self._print(f"  log: {near(result.log)}")

    def close(self, report: Report) -> None:
        """The last lines: what the run came to, and where its record is."""
        if report.stand_ins:
            self.line(f"Stand-in images: {', '.join(report.stand_ins)}")
        for image, packages in report.moved_packages.items():
            self.line(
                f"The archive has other packages for {image} than are pinned:"
                f" {', '.join(packages)}; run `images lock --stand-ins`"
            )
        self._print(verdict(report), style=_STYLES[report.status])
        self.line(f"Report: {near(report.summary)}")

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Keep a line for each running stage at the bottom of a terminal; nothing elsewhere."""
        if self._quiet or not self._terminal.is_terminal:
            yield
            return
        with Live(
            get_renderable=self._table,
            console=self._terminal,
            refresh_per_second=4,
            transient=True,
        ) as self._live:
            try:
                yield
            finally:
                self._running.clear()
        self._live = None

    def _refresh(self) -> None:
        if self._live:
            self._live.refresh()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for stage, started in list(self._running.items()):
            seconds = f"{time.monotonic() - started:.0f} s"
            table.add_row(Text(stage, "cyan"), seconds, Text(self._said.get(stage, ""), "dim"))
        return table

    def _print(self, text: str, style: str | None = None) -> None:
        self._terminal.print(text, style=style, markup=False, emoji=False)


def ended(stage: str, result: Result) -> str:
    """The line of a stage that has ended."""
    parts = [f"{stage}: {result.status}"]
    if result.started is not None:
        parts.append(f"in {result.seconds:.1f} s")
    if result.cached:
        parts.append("(cached)")
    if result.retried:
        alike = result.retried == result.reason
        parts.append("at both tries" if alike else f"at the second try (first: {result.retried})")
    text = " ".join(parts)
    return f"{text}: {result.reason}" if result.reason else text


def verdict(report: Report) -> str:
    """The last line of a run."""
    seconds = f"{report.seconds:.1f} s"
    if report.status is Status.CANCELLED:
        return f"Interrupted after {seconds}."
    broken = [
        name for name, result in report.outcome.results.items() if result.status is Status.FAILED
    ]
    if broken:
        return f"Failed after {seconds}: {', '.join(broken)} ({report.failure})."
    return f"Passed in {seconds}."


def near(path: Path) -> str:
    """A path as seen from here, where that is shorter to read."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
