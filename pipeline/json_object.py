"""JSON objects as the lake keeps them: readable text, damage told by the file's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.errors import LakeError

__all__ = ["json_object", "to_json"]


def to_json(value: Mapping[str, Any]) -> bytes:
    """The object as text that people can read and compare."""
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def json_object(path: str, data: bytes) -> dict[str, Any]:
    """The object in a file's bytes; LakeError for what is none, which names the file."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise LakeError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise LakeError(f"{path} is not a JSON object")
    return value
