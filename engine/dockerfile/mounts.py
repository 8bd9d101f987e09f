"""The value of `RUN --mount`: comma-separated fields, which may hold variables."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass

from engine.dockerfile.characters import quoted
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.suggest import suggestion

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_FIELDS = (
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "readwrite",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?([kmgtpe]?)i?b?", re.IGNORECASE)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mount of a RUN line, expanded and checked.

    `size` is in bytes, zero for no limit; `env` is None unless the field was given; `mode`,
    `uid` and `gid` are None where the type's default holds.
    """

    type: str = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    required: bool = False
    size: int = 0
    id: str = ""
    sharing: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None


def check_mount(text: str) -> None:
    """Refuse what is wrong with a mount whatever its variables will be."""
    for field in _fields(text):
        name, equals, value = field.partition("=")
        dollar = value.find("$")
        if name.lower() == "from" and equals and 0 <= dollar < len(value) - 1:
            raise DockerfileError(
                "'from' doesn't support variable expansion, define alias stage instead"
            )


def source_of(text: str) -> str:
    """What a mount is from, which no variable can change: a stage, an image, or "" for none."""
    found = ""
    for field in _fields(text):
        name, _, value = field.partition("=")
        if name.lower() == "from":
            found = value
    return found


def parse_mount(text: str, expand: Callable[[str], str]) -> Mount:
    """The mount that `text` describes; `expand` resolves the variables of a value."""
    values: dict[str, str] = {}
    kind = "bind"
    for field in _fields(text):
        name, value = _field(field, expand)
        if name == "type":
            kind = value = _one_of(value, _TYPES, "unsupported mount type")
        if (name == "required" and kind not in ("secret", "ssh")) or (
            name == "size" and kind != "tmpfs"
        ):
            raise DockerfileError(f"unexpected key '{name}' for mount type '{kind}'")
        if name == "readwrite":
            name, value = "readonly", "false" if _boolean(name, value) else "true"
        values[name] = value
    mount = _mount(kind, values)
    _check_combination(mount)
    return mount


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise DockerfileError(f"failed to parse csv mounts: {error}") from None
    if not rows or not rows[0]:
        raise DockerfileError("failed to parse csv mounts: EOF")
    return rows[0]


def _field(field: str, expand: Callable[[str], str]) -> tuple[str, str]:
    key, equals, value = field.partition("=")
    name = _ALIASES.get(key.lower(), key.lower())
    if not equals:
        if name not in ("readonly", "readwrite", "required"):
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
        return name, "true"
    if name not in _FIELDS:
        close = suggestion(name, (*_FIELDS, *_ALIASES))
        raise DockerfileError(f"unexpected key '{name}' in '{field}'{close}")
    return name, expand(value)


def _mount(kind: str, values: dict[str, str]) -> Mount:
    writable = kind in ("cache", "tmpfs")
    read_only = values.get("readonly")
    return Mount(
        type=kind,
        from_=values.get("from", ""),
        source=values.get("source", ""),
        target=values.get("target", ""),
        read_only=not writable if read_only is None else _boolean("readonly", read_only),
        required=_boolean("required", values.get("required", "false")),
        size=_bytes(values.get("size", "0")),
        id=values.get("id", ""),
        sharing=(
            _one_of(values["sharing"], _SHARING, "unsupported sharing value")
            if "sharing" in values
            else ""
        ),
        mode=_number("mode", values.get("mode"), 8),
        uid=_number("uid", values.get("uid"), 10),
        gid=_number("gid", values.get("gid"), 10),
        env=values.get("env"),
    )


def _check_combination(mount: Mount) -> None:
    if mount.type not in ("secret", "ssh", "cache"):
        for name in ("mode", "uid", "gid"):
            if getattr(mount, name) is not None:
                raise DockerfileError(f"{name} not allowed for {quoted(mount.type)} type mounts")
    if mount.type == "secret":
        _check_secret(mount)
    if mount.sharing and mount.type != "cache":
        raise DockerfileError(f"invalid cache sharing set for {mount.type} mount")


def _check_secret(mount: Mount) -> None:
    if mount.from_:
        raise DockerfileError("secret mount should not have a from")
    if mount.sharing:
        raise DockerfileError("secret mount should not define sharing")
    if not (mount.source or mount.target or mount.id):
        raise DockerfileError("invalid secret mount. one of source, target required")
    if mount.source and mount.id:
        raise DockerfileError("both source and id can't be set")


def _one_of(value: str, allowed: tuple[str, ...], complaint: str) -> str:
    if value.lower() not in allowed:
        raise DockerfileError(f"{complaint} {quoted(value)}{suggestion(value, allowed)}")
    return value.lower()


def _boolean(name: str, value: str) -> bool:
    if value not in (*_TRUE, *_FALSE):
        raise DockerfileError(f"invalid value for {name}: {value}")
    return value in _TRUE


def _number(name: str, value: str | None, base: int) -> int | None:
    if value is None:
        return None
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or len(value) > 12 or int(value, base) >= 2**32:
        raise DockerfileError(f"invalid value {value} for {name}")
    return int(value, base)


def _bytes(value: str) -> int:
    match = _SIZE.fullmatch(value)
    if not match:
        raise DockerfileError(f"invalid value for size: {value}")
    return int(float(match[1]) * 1024 ** " kmgtpe".index(match[2].lower() or " "))
