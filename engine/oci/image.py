"""The configuration of an image: what a container of it runs, and how it was made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import EngineError
from engine.jsontext import parse

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

Pairs = tuple[tuple[str, str], ...]
"""Names and values in order."""


class ImageError(EngineError):
    """Raised for an image that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How to find out whether a container is well; times in nanoseconds, zero if not given.

    `test` is `("NONE",)`, `("CMD", argument, ...)` or `("CMD-SHELL", text)`.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One step of how an image was made; `empty_layer` says that it left no layer."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What an image says of how it was made; `layers` are its layers where they are kept."""

    layers: tuple[str, ...]
    created: str = ""
    author: str = ""
    history: tuple[History, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """An image's configuration; `entrypoint` and `cmd` are None where there is none.

    Times are as in the file, in RFC 3339; `diff_ids` are its layers, the lowest first.
    """

    architecture: str = "amd64"
    os: str = "linux"
    variant: str = ""
    created: str = ""
    author: str = ""
    env: Pairs = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    user: str = ""
    working_dir: str = ""
    labels: Pairs = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()
    onbuild: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    history: tuple[History, ...] = ()

    @property
    def platform(self) -> str:
        """`linux/amd64`, or with a variant `linux/arm/v7`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def to_json(self) -> bytes:
        """The configuration as a registry keeps it; equal ones give equal bytes."""
        whole = {
            "architecture": self.architecture,
            "os": self.os,
            "variant": self.variant,
            "created": self.created,
            "author": self.author,
            "config": _given(self._container()),
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "history": [_history_table(step) for step in self.history],
        }
        kept = {key: value for key, value in whole.items() if value not in ("", [])}
        return to_bytes(kept)

    def _container(self) -> dict[str, Any]:
        return {
            "User": self.user,
            "ExposedPorts": dict.fromkeys(self.exposed_ports, _NOTHING),
            "Env": [f"{name}={value}" for name, value in self.env],
            # An entry point of no words differs from none at all.
            "Entrypoint": None if self.entrypoint is None else _Words(self.entrypoint),
            "Cmd": None if self.cmd is None else _Words(self.cmd),
            "Volumes": dict.fromkeys(self.volumes, _NOTHING),
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": None if self.healthcheck is None else _check_table(self.healthcheck),
            "Shell": list(self.shell),
            "OnBuild": list(self.onbuild),
        }

    @classmethod
    def from_json(cls, text: bytes) -> ImageConfig:
        """The configuration that `text` holds; keys it does not know are dropped.

        Raises ImageError.
        """
        try:
            return _read(parse(text))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ImageError(f"this is no image configuration: {error}") from None


_NOTHING: dict[str, str] = {}


class _Words(list[str]):
    """A list that is written down even when it is empty."""


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in table.items() if v or isinstance(v, _Words)}


def _check_table(check: Healthcheck) -> dict[str, Any]:
    return _given(
        {
            "Test": list(check.test),
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    )


def _history_table(step: History) -> dict[str, Any]:
    return _given(
        {
            "created": step.created,
            "created_by": step.created_by,
            "author": step.author,
            "comment": step.comment,
            "empty_layer": step.empty_layer,
        }
    )


def _read(table: Mapping[str, Any]) -> ImageConfig:
    inner = table.get("config") or {}
    check = inner.get("Healthcheck")
    return ImageConfig(
        architecture=table.get("architecture") or "",
        os=table.get("os") or "",
        variant=table.get("variant") or "",
        created=table.get("created") or "",
        author=table.get("author") or "",
        env=tuple(_variable(text) for text in inner.get("Env") or ()),
        entrypoint=_words_or_none(inner.get("Entrypoint")),
        cmd=_words_or_none(inner.get("Cmd")),
        user=inner.get("User") or "",
        working_dir=inner.get("WorkingDir") or "",
        labels=tuple((inner.get("Labels") or {}).items()),
        exposed_ports=tuple(inner.get("ExposedPorts") or {}),
        volumes=tuple(inner.get("Volumes") or {}),
        stop_signal=inner.get("StopSignal") or "",
        healthcheck=None if not check else _check(check),
        shell=_words(inner.get("Shell")),
        onbuild=_words(inner.get("OnBuild")),
        diff_ids=_words((table.get("rootfs") or {}).get("diff_ids")),
        history=tuple(_history(step) for step in table.get("history") or ()),
    )


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _words(value: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(value or ())


def _words_or_none(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _check(table: Mapping[str, Any]) -> Healthcheck:
    return Healthcheck(
        test=_words(table.get("Test")),
        interval=table.get("Interval") or 0,
        timeout=table.get("Timeout") or 0,
        start_period=table.get("StartPeriod") or 0,
        start_interval=table.get("StartInterval") or 0,
        retries=table.get("Retries") or 0,
    )


def _history(table: Mapping[str, Any]) -> History:
    return History(
        created=table.get("created") or "",
        created_by=table.get("created_by") or "",
        author=table.get("author") or "",
        comment=table.get("comment") or "",
        empty_layer=bool(table.get("empty_layer")),
    )


def to_bytes(value: Any) -> bytes:
    """JSON in which equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogateescape"
    )
