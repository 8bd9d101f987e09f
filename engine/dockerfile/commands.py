"""RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK: the instructions that hold a command."""

from __future__ import annotations

import re

from engine.dockerfile.characters import SPACES, quoted
from engine.dockerfile.durations import parse_duration
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.flags import Flags
from engine.dockerfile.heredoc import is_heredoc
from engine.dockerfile.instructions import Cmd, Entrypoint, Healthcheck, Heredoc, Run, Shell
from engine.dockerfile.mounts import check_mount
from engine.dockerfile.statements import Statement
from engine.dockerfile.words import json_words

_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")
_SHORTEST = 10**6  # one millisecond
_INTEGER = re.compile(r"[+-]?[0-9]+")


def read_run(statement: Statement) -> Run:
    """RUN."""
    flags = Flags(statement.flags, text=("network", "security"), repeated=("mount", "device"))
    network = flags.text("network", "default")
    if network not in _NETWORKS:
        raise DockerfileError(f"invalid network mode {quoted(network)}")
    security = flags.text("security", "sandbox")
    if security not in _SECURITY:
        raise DockerfileError(f"security {quoted(security)} is not valid")
    for mount in flags.every("mount"):
        check_mount(mount)
    argv = json_words(statement.arguments)
    script = _script(statement) if argv is None else None
    return Run(
        line=statement.line,
        original=statement.original,
        command=_shell_text(statement) if argv is None and script is None else None,
        argv=argv,
        script=script,
        mounts=flags.every("mount"),
        devices=flags.every("device"),
        network=network,
        security=security,
    )


def _script(statement: Statement) -> Heredoc | None:
    if not statement.heredocs or not is_heredoc(statement.arguments):
        return None
    document = statement.heredocs[0].document()
    return document if document.content.startswith("#!") else None


def _shell_text(statement: Statement) -> str:
    """What the shell is given: a lone here document's content, or the line with all of them."""
    if statement.heredocs and is_heredoc(statement.arguments):
        return statement.heredocs[0].document().content
    parts = [statement.arguments]
    parts += [opening.raw + opening.name for opening in statement.heredocs]
    return "\n".join(parts)


def read_cmd(statement: Statement) -> Cmd:
    """CMD."""
    Flags(statement.flags)
    argv = json_words(statement.arguments)
    command = statement.arguments if argv is None else None
    return Cmd(line=statement.line, original=statement.original, command=command, argv=argv)


def read_entrypoint(statement: Statement) -> Entrypoint:
    """ENTRYPOINT."""
    Flags(statement.flags)
    argv = json_words(statement.arguments)
    command = statement.arguments if argv is None else None
    return Entrypoint(line=statement.line, original=statement.original, command=command, argv=argv)


def read_shell(statement: Statement) -> Shell:
    """SHELL, which knows the JSON form only."""
    Flags(statement.flags)
    argv = json_words(statement.arguments)
    if not (statement.arguments if argv is None else argv):
        raise DockerfileError("SHELL requires at least one argument")
    if argv is None:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    return Shell(line=statement.line, original=statement.original, argv=argv)


def read_healthcheck(statement: Statement) -> Healthcheck:
    """HEALTHCHECK NONE, or HEALTHCHECK CMD with its flags."""
    kind, rest = _first_word(statement.arguments)
    if not kind:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    if kind == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(line=statement.line, original=statement.original, test=("NONE",))
    flags = Flags(
        statement.flags,
        text=("interval", "timeout", "start-period", "start-interval", "retries"),
    )
    return Healthcheck(
        line=statement.line,
        original=statement.original,
        test=_test(kind, rest),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _first_word(text: str) -> tuple[str, str]:
    end = next((at for at, char in enumerate(text) if char in SPACES), len(text))
    return text[:end].upper(), text[end:].strip(SPACES)


def _test(kind: str, rest: str) -> tuple[str, ...]:
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)")
    argv = json_words(rest)
    if not (rest if argv is None else argv):
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return ("CMD-SHELL", rest) if argv is None else ("CMD", *argv)


def _interval(flags: Flags, name: str) -> int:
    given = flags.text(name)
    nanoseconds = parse_duration(given) if given else 0
    if nanoseconds and nanoseconds < _SHORTEST:
        raise DockerfileError(f"Interval {quoted(name)} cannot be less than 1ms")
    return nanoseconds


def _retries(given: str) -> int:
    if not given:
        return 0
    if not _INTEGER.fullmatch(given):
        raise DockerfileError(f"strconv.ParseInt: parsing {quoted(given)}: invalid syntax")
    if len(given) > 11 or abs(int(given)) >= 2**31:
        raise DockerfileError(f"strconv.ParseInt: parsing {quoted(given)}: value out of range")
    if int(given) < 0:
        raise DockerfileError(f"--retries cannot be negative ({int(given)})")
    return int(given)
