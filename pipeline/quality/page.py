"""The verdict as one HTML page."""

from __future__ import annotations

from pipeline.quality.verdict import Verdict

__all__ = ["render"]


def render(verdict: Verdict, rejected: str) -> str:
    """The page; `rejected` is the file beside it that lists every rejected row."""
    return f"<!doctype html><title>{verdict.status}</title>"
