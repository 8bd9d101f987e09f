"""Limits: the defaults, a lake's own, and what is not a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.lake import Lake
from pipeline.quality.check import Status
from pipeline.quality.limits import Limit, Limits, read_limits


def lake_with(folder: Path, text: str | bytes) -> Lake:
    (folder / "limits.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Lake.at(str(folder))


@pytest.mark.parametrize(
    "share, status",
    [(0, "pass"), (0.1, "pass"), (0.11, "warn"), (0.5, "warn"), (0.51, "fail"), (2, "fail")],
)
def test_a_share_above_a_bound_warns_or_fails(share: float, status: str) -> None:
    assert Limit(warn=0.1, fail=0.5).judge(share) == status


def test_a_limit_without_bounds_is_never_broken() -> None:
    assert Limit().judge(1e9) is Status.PASS
    assert str(Limit()) == "no limit"


def test_a_lake_without_limits_has_the_defaults(tmp_path: Path) -> None:
    assert read_limits(Lake.at(str(tmp_path))) == Limits()


def test_a_lake_sets_some_limits_and_keeps_the_others(tmp_path: Path) -> None:
    lake = lake_with(tmp_path, "rows_lost = { fail = 0.1 }\nduplicates = {}\n[nulls_risen]\nwarn=1")
    assert read_limits(lake) == Limits(
        rows_lost=Limit(fail=0.1), duplicates=Limit(), nulls_risen=Limit(warn=1.0)
    )


@pytest.mark.parametrize(
    "text, says",
    [
        pytest.param("rows_lost = {", "is not TOML", id="no-toml"),
        pytest.param(b"\xff", "is not TOML", id="no-text"),
        pytest.param("row_lost = { warn = 1 }", "no limit named 'row_lost'", id="misspelled"),
        pytest.param("rows_lost = 0.5", "write rows_lost = { warn", id="bare"),
        pytest.param("rows_lost = { warns = 0.5 }", "write rows_lost = { warn", id="other-word"),
        pytest.param("rows_lost = { warn = '1' }", "write rows_lost = { warn", id="text"),
        pytest.param("rows_lost = { warn = true }", "write rows_lost = { warn", id="true"),
        pytest.param("rows_lost = { warn = -1 }", "write rows_lost = { warn", id="negative"),
        pytest.param("rows_lost = { warn = nan }", "write rows_lost = { warn", id="nan"),
    ],
)
def test_what_is_no_limit_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_limits(lake_with(tmp_path, text))
