"""A stage while it is built, and what instructions that touch no file make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.dockerfile.expand import expand_word
from engine.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Stopsignal,
    Volume,
)
from engine.dockerfile.ports import exposed
from engine.dockerfile.signals import checked
from engine.model import Container, Port
from engine.model import Healthcheck as ModelHealthcheck
from engine.oci.image import Provenance
from engine.standins import STAND_IN_LABEL

SHELL = ("/bin/sh", "-c")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class State:
    """A stage while it is built.

    `variables` is what words expand by and commands see: the image's environment and the
    arguments, of which the later line wins. The container has the image's own only.
    """

    container: Container
    variables: dict[str, str]
    escape: str = "\\"
    has_command: bool = False
    stand_ins: dict[str, str] = field(default_factory=dict)
    """The images that stand-ins are for whose files are in it, by what their labels say."""

    def word(self, text: str) -> str:
        """`text` expanded."""
        return expand_word(text, self.variables, self.escape)

    def takes_from(self, other: Container) -> None:
        """Note that files of `other` come in, which may be a stand-in's."""
        label = dict(other.labels).get(STAND_IN_LABEL, "")
        self.stand_ins |= {name: name for name in label.split(", ") if name}
        self.container = replace(self.container, standins=self.container.standins | other.standins)


def started(base: Container, variables: dict[str, str], escape: str) -> State:
    """A stage that begins on `base`; `variables` are those that its stage had."""
    env = dict(base.env)
    if "PATH" not in env:
        env["PATH"] = _PATH
    container = replace(base, env=tuple(env.items()), image_ref="", ran=None)
    state = State(container, {**env, **variables}, escape)
    state.takes_from(base)
    return state


def finished(state: State) -> Container:
    """The container of a stage, labelled if a stand-in's files are in it."""
    if not state.stand_ins:
        return state.container
    labels = dict(state.container.labels)
    labels[STAND_IN_LABEL] = ", ".join(state.stand_ins)
    return replace(state.container, labels=tuple(labels.items()))


def command_of(container: Container, line: Command) -> tuple[str, ...]:
    """The arguments of a command line, with the shell where it needs one."""
    if line.argv is not None:
        return line.argv
    return (*(container.shell or SHELL), line.command or "")


def set_command(state: State, line: Cmd) -> None:
    """CMD."""
    state.has_command = True
    state.container = replace(state.container, args=command_of(state.container, line))


def set_entrypoint(state: State, line: Entrypoint) -> None:
    """ENTRYPOINT, which drops a command that the stage took from its base."""
    container = state.container
    state.container = replace(
        container,
        entrypoint=command_of(container, line),
        args=container.args if state.has_command else (),
    )


def set_variables(state: State, line: Env) -> None:
    """ENV: words see what earlier lines set."""
    seen = dict(state.variables)
    env = dict(state.container.env)
    for name, value in line.variables:
        name = expand_word(name, seen, state.escape)
        env[name] = state.variables[name] = expand_word(value, seen, state.escape)
    state.container = replace(state.container, env=tuple(env.items()))


def declare(state: State, line: Arg, given: Mapping[str, str], outer: Mapping[str, str]) -> None:
    """ARG: a `given` value, or the default, or else the value of the `outer` scope."""
    for name, default in line.arguments:
        if name in given:
            state.variables[name] = given[name]
        elif default is not None:
            state.variables[name] = state.word(default)
        elif name in outer:
            state.variables[name] = outer[name]


def set_labels(state: State, line: Label) -> None:
    """LABEL."""
    labels = dict(state.container.labels)
    for name, value in line.labels:
        labels[state.word(name)] = state.word(value)
    state.container = replace(state.container, labels=tuple(labels.items()))


def expose(state: State, line: Expose) -> None:
    """EXPOSE."""
    ports = {(p.port, p.protocol): p for p in state.container.ports}
    for number, protocol in exposed(line.ports, state.variables, state.escape):
        ports[number, protocol] = Port(port=number, protocol=protocol, of_image=True)
    state.container = replace(state.container, ports=tuple(ports.values()))


def add_volumes(state: State, line: Volume) -> None:
    """VOLUME."""
    paths = (*state.container.volumes, *map(state.word, line.paths))
    state.container = replace(state.container, volumes=tuple(dict.fromkeys(paths)))


def set_stop_signal(state: State, line: Stopsignal) -> None:
    """STOPSIGNAL."""
    state.container = replace(state.container, stop_signal=checked(state.word(line.signal)))


def set_author(state: State, line: Maintainer) -> None:
    """MAINTAINER."""
    known = state.container.provenance or Provenance(layers=())
    state.container = replace(state.container, provenance=replace(known, author=line.name))


def set_healthcheck(state: State, line: Healthcheck) -> None:
    """HEALTHCHECK; NONE takes the base's away."""
    kind, *rest = line.test
    check = None
    if kind != "NONE":
        check = ModelHealthcheck(
            args=tuple(rest),
            shell=kind == "CMD-SHELL",
            interval=line.interval,
            timeout=line.timeout,
            start_period=line.start_period,
            start_interval=line.start_interval,
            retries=line.retries,
        )
    state.container = replace(state.container, healthcheck=check)
