"""The page: whole, self-contained, and harmless whatever the source wrote."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import steps
from pipeline.lake import Lake
from pipeline.quality import Verdict, export, verify
from pipeline.quality.check import Check, Status
from pipeline.quality.markup import shown
from pipeline.quality.page import render
from tests.brewery_api.breweries import Brewery
from tests.pipeline.conftest import Serve
from tests.pipeline.quality.damage import first

HOSTILE = "\"'><script src=//evil>alert(1)</script><img src=x onerror=alert(1)>\u202e&amp;"
VOID = {"br", "meta"}
# HTML lets these end without an end tag.
OPEN_ENDED = {"tr", "th", "td", "tbody", "thead", "li", "p"}


class Reader(HTMLParser):
    """What a browser would make of the page: its tags, their attributes and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while tag not in VOID and self.open and self.open[-1] != tag:
            assert self.open[-1] in OPEN_ENDED, f"<{self.open[-1]}> is not closed before </{tag}>"
            self.open.pop()
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(lake: Path, run_id: str | None = None) -> str:
    return render(verify(Lake.at(str(lake)), run_id), "quarantine.csv")


def test_the_page_tells_counts_places_and_every_quarantined_id(good_lake: Path) -> None:
    verdict = verify(Lake.at(str(good_lake)))
    page = Reader(render(verdict, "quarantine.csv"))
    assert page.open == []
    for text in ("Every promise was kept", "run good", f"Bronze {verdict.bronze_rows:,}", "Bayern"):
        assert text in page.text
    assert len(verdict.rejected.listed) == verdict.quarantine_rows > 0
    for _, _, name, reason in verdict.rejected.listed:
        assert f"{name}{reason}" in page.text
    assert ("href", "quarantine.csv") in page.attributes
    assert page.tags.count("svg") == 1


def test_the_page_needs_neither_scripts_nor_the_network(good_lake: Path) -> None:
    text = page_of(good_lake)
    page = Reader(text)
    assert not {"script", "link", "img", "iframe", "object", "use"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert "src" not in names
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in text and "@import" not in text and "http:" not in text
    assert "default-src 'none'" in text


def test_hostile_text_of_the_source_is_only_shown(
    serve: Serve, small_rows: list[Brewery], tmp_path: Path
) -> None:
    rows = [dict(row) for row in small_rows]
    for number, field in enumerate(("brewery_type", "country", "state", "id", "city")):
        rows[300 + number][field] = HOSTILE
        rows[310 + number] |= {field: HOSTILE, "state_province": HOSTILE, "latitude": HOSTILE}
    steps.run(api=serve(rows).url, lake=str(tmp_path), run_id="r")
    page = Reader(page_of(tmp_path))
    assert not {"script", "img"} & set(page.tags)
    assert "<script src=//evil>alert(1)</script>" in page.text
    assert "\u202e" not in page.text
    assert page.open == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lake: first(lake, "bronze/*/man*").unlink(), id="bronze"),
        pytest.param(lambda lake: first(lake, "silver/**/part*").unlink(), id="silver"),
        pytest.param(lambda lake: first(lake, "silver/*/quarantine/*").unlink(), id="quarantine"),
        pytest.param(lambda lake: first(lake, "gold/*/*.csv").unlink(), id="gold"),
        pytest.param(lambda lake: (lake / "current.json").write_text("{"), id="pointer"),
    ],
)
def test_a_damaged_run_has_a_page_that_says_what_failed_first(
    lake: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(lake)
    verdict = verify(Lake.at(str(lake)))
    export(Lake.at(str(lake)), verdict, tmp_path / "out/page.html")
    page = Reader((tmp_path / "out/page.html").read_text(encoding="utf-8"))
    assert "What failed first" in page.text
    assert verdict.problems[0] in page.text


def test_a_warning_is_told_first_when_nothing_failed() -> None:
    checks = [
        Check("silver", "a", Status.PASS, "good"),
        Check("drift", "b", Status.WARN, "odd", "look"),
    ]
    text = Reader(render(Verdict("r", checks=checks), "q.csv")).text
    assert "Good, with warnings" in text
    assert "What to look at firstdrift: oddNext: look" in text


def test_a_failure_comes_before_an_earlier_warning() -> None:
    checks = [
        Check("silver", "a", Status.WARN, "odd"),
        Check("gold", "b", Status.FAIL, "wrong", "mend"),
    ]
    text = Reader(render(Verdict("r", checks=checks), "q.csv")).text
    assert "What failed firstgold: wrongNext: mendAlso:silver: odd" in text


# Half surrogate pairs come out of file names, and of nothing that JSON or Parquet can hold.
@given(st.text(st.characters()))
@example("<b>")
@example("e" + "\u0301" * 50)
@example("\ud800\u202e\x00")
@example("x" * 1000)
def test_any_text_is_shown_as_text(text: str) -> None:
    markup = shown(text)
    assert not re.search(r"[<>\"']", markup)
    seen = html.unescape(markup)
    assert len(seen) <= 160 * len("<U+10FFFF>")
    seen.encode()
    if text.isascii() and text.isprintable() and len(text) < 160:
        assert seen == text
