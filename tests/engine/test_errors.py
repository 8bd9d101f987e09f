"""Errors of the system in the words that a client gets."""

from __future__ import annotations

import errno

import pytest

from engine.errors import told

LONG = "/" + "x" * 300


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a"), "/a: no such file"),
        (PermissionError(errno.EACCES, "Permission denied", "/a", None, "/b"), "/a -> /b: perm"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", 30), "is a directory"),
        (OSError(errno.ENAMETOOLONG, "File name too long", LONG), f"{LONG[:200]}…: file name"),
        (OSError("no number"), "no number"),
    ],
    ids=["a path", "two paths", "a descriptor", "a long path", "no number"],
)
def test_path_and_reason_are_told_without_python_s_words(error: OSError, said: str) -> None:
    assert told(error).startswith(said)
    assert "Errno" not in told(error)
