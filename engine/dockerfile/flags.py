"""The `--name=value` flags of an instruction."""

from __future__ import annotations

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.suggest import suggestion


class Flags:
    """The flags of one instruction, checked against those it knows."""

    def __init__(
        self,
        given: tuple[str, ...],
        *,
        text: tuple[str, ...] = (),
        boolean: tuple[str, ...] = (),
        repeated: tuple[str, ...] = (),
    ) -> None:
        self._boolean = boolean
        self._values: dict[str, list[str]] = {}
        for flag in given:
            name, equals, value = flag[2:].partition("=")
            if name not in (*text, *boolean, *repeated):
                close = suggestion(name, (*text, *boolean, *repeated))
                raise DockerfileError(f"unknown flag: --{name}{close}")
            if name in self._values and name not in repeated:
                raise DockerfileError(f"duplicate flag specified: --{name}")
            self._values.setdefault(name, []).append(self._checked(name, equals, value))

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag given at most once."""
        return self._values.get(name, [default])[0]

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a flag, in order."""
        return tuple(self._values.get(name, ()))

    def choice(self, name: str) -> bool | None:
        """A boolean flag, or None where it was not given."""
        return self.text(name) == "true" if name in self._values else None

    def _checked(self, name: str, equals: str, value: str) -> str:
        if name not in self._boolean:
            if not equals:
                raise DockerfileError(f"missing a value on flag: --{name}")
            return value
        if equals and not value:
            raise DockerfileError(f"missing a value on flag: --{name}")
        if value.lower() not in ("", "true", "false"):
            raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
        return value.lower() or "true"
