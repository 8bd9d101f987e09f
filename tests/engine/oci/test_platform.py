"""Platforms are read as containerd reads them."""

from __future__ import annotations

import pytest

from engine.errors import EngineError
from engine.oci.platform import parse_platform

HERE = "linux/amd64"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("LINUX/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64/8", "linux/arm64/v8"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm", "linux/arm"),
        ("linux/armhf", "linux/arm"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("windows", "windows/amd64"),
        ("arm64", "linux/arm64"),
        ("x86_64", HERE),
    ],
)
def test_a_platform_has_one_form(text: str, expected: str) -> None:
    assert parse_platform(text, HERE) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linux/amd64/v1/x", '"linux/amd64/v1/x": cannot parse platform specifier'),
        ("linux/", '"" is an invalid component of "linux/"'),
        ("linux amd64", '"linux amd64" is an invalid component'),
        ("foo", '"foo": unknown operating system or architecture: invalid argument'),
    ],
)
def test_what_names_no_platform_is_refused(text: str, message: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse_platform(text, HERE)
    assert str(caught.value).startswith(message)
