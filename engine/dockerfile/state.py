"""A stage while it is built, and what instructions that run nothing make of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.expand import expand_word, expand_words
from engine.dockerfile.instructions import (
    Command,
    Env,
    Expose,
    Healthcheck,
    Label,
)
from engine.model import (
    Container,
    Port,
)
from engine.model import Healthcheck as ModelHealthcheck

SHELL = ("/bin/sh", "-c")


@dataclass(slots=True)
class State:
    """A stage while it is built: the container so far and the arguments it has seen."""

    container: Container
    arguments: dict[str, str] = field(default_factory=dict)
    escape: str = "\\"

    @property
    def variables(self) -> dict[str, str]:
        """What words of this stage expand by: variables win over arguments."""
        return {**self.arguments, **dict(self.container.env)}

    def word(self, text: str) -> str:
        return expand_word(text, self.variables, self.escape)


def destination(state: State, text: str) -> str:
    word = state.word(text)
    slash = "/" if word.endswith(("/", "/.")) or word == "." else ""
    path = state.container.absolute(word)
    return path if path == "/" else path + slash


def command_of(container: Container, line: Command) -> tuple[str, ...]:
    if line.argv is not None:
        return line.argv
    return (*(container.shell or SHELL), line.command or "")


def with_env(state: State, line: Env) -> Container:
    seen = state.variables
    env = dict(state.container.env)
    for name, value in line.variables:
        env[expand_word(name, seen, state.escape)] = expand_word(value, seen, state.escape)
    return replace(state.container, env=tuple(env.items()))


def with_labels(state: State, line: Label) -> Container:
    labels = dict(state.container.labels)
    for name, value in line.labels:
        labels[state.word(name)] = state.word(value)
    return replace(state.container, labels=tuple(labels.items()))


def with_ports(state: State, line: Expose) -> Container:
    ports = {(p.port, p.protocol): p for p in state.container.ports}
    for text in line.ports:
        for word in expand_words(text, state.variables, state.escape):
            number, _, protocol = word.partition("/")
            first, _, last = number.partition("-")
            if not first.isdigit() or not (last or first).isdigit():
                raise DockerfileError(f"invalid containerPort: {word}")
            for port in range(int(first), int(last or first) + 1):
                kind = (protocol or "tcp").upper()
                ports[port, kind] = Port(port=port, protocol=kind)
    return replace(state.container, ports=tuple(ports.values()))


def healthcheck_of(line: Healthcheck) -> ModelHealthcheck | None:
    kind, *rest = line.test
    if kind == "NONE":
        return None
    return ModelHealthcheck(
        args=tuple(rest),
        shell=kind == "CMD-SHELL",
        interval=line.interval,
        timeout=line.timeout,
        start_period=line.start_period,
        start_interval=line.start_interval,
        retries=line.retries,
    )
