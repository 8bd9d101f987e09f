"""Symbolic permissions, against what chmod(1) makes of them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.permissions import applied, valid

CLAUSES = st.from_regex(r"[ugoa]{1,2}([+=-]([rwxX]{0,3}|[ugo])){1,2}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("+x", 0o644, 0o755),
        ("u+x", 0o644, 0o744),
        ("go-rwx", 0o755, 0o700),
        ("g=u", 0o640, 0o660),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("u=rwX,go=rX", 0o600, 0o644),
        ("u=rwX,go=rX", stat.S_IFDIR | 0o600, 0o755),
        ("a=r", 0o777, 0o444),
        ("u+s,g+s", 0o755, 0o6755),
        ("+t", 0o777, 0o1777),
        ("u=rw,u-w", 0o777, 0o477),
        ("o=", 0o777, 0o770),
        ("u+r-w", 0o300, 0o500),
    ],
)
def test_permissions_change_as_they_are_written(text: str, before: int, after: int) -> None:
    assert valid(text)
    assert applied(text, before) == after


@pytest.mark.parametrize("text", ["", "x", "u", "u+z", "u+x,", "9", "u~x", "755"])
def test_what_is_no_list_of_permissions_is_told(text: str) -> None:
    assert not valid(text)
    with pytest.raises(ValueError):
        applied(text, 0o644)


@settings(max_examples=40, deadline=None)
@given(clauses=st.lists(CLAUSES, min_size=1, max_size=3), before=st.integers(0, 0o777))
def test_files_get_what_chmod_gives_them(
    tmp_path_factory: pytest.TempPathFactory, clauses: list[str], before: int
) -> None:
    text = ",".join(clauses)
    file = _file(tmp_path_factory)
    file.chmod(before)
    done = subprocess.run(["chmod", "--", text, str(file)], capture_output=True, check=False)
    if valid(text) and done.returncode == 0:
        assert applied(text, before) == stat.S_IMODE(os.stat(file).st_mode)


def _file(factory: pytest.TempPathFactory) -> Path:
    file = factory.getbasetemp() / "file"
    file.touch()
    return file
