"""Read a Dockerfile: the whole syntax of BuildKit's frontend, without its extensions."""

from __future__ import annotations

from dataclasses import replace

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.grammar import read_instruction
from engine.dockerfile.instructions import AnyInstruction, Arg, Dockerfile, Stage
from engine.dockerfile.statements import Statement, read_source


def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """The syntax tree of `text`; `name` is the file's, for error texts.

    Raises DockerfileError for what no build could make sense of.
    """
    source = read_source(text, name)
    arguments: list[Arg] = []
    stages: list[Stage] = []
    for statement in source.statements:
        instruction = _instruction(statement, name)
        if isinstance(instruction, Stage):
            stages.append(instruction)
        elif stages:
            stages[-1] = replace(stages[-1], instructions=(*stages[-1].instructions, instruction))
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            raise DockerfileError(
                "no build stage in current context",
                statement.line,
                name=name,
                instruction=statement.original,
            )
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build", name=name)
    return Dockerfile(
        name=name,
        directives=source.directives,
        arguments=tuple(arguments),
        stages=tuple(stages),
    )


def parse_trigger(expression: str, line: int, name: str = "Dockerfile") -> AnyInstruction:
    """The instruction of an ONBUILD expression; errors point at `line`, where the base is named."""
    source = read_source(expression, name)
    if len(source.statements) != 1:
        raise DockerfileError(
            "onbuild trigger should be a single expression",
            line,
            name=name,
            instruction=f"ONBUILD {expression}",
        )
    instruction = _instruction(replace(source.statements[0], line=line), name)
    if isinstance(instruction, Stage):
        raise DockerfileError(
            "FROM isn't allowed as an ONBUILD trigger",
            line,
            name=name,
            instruction=f"ONBUILD {expression}",
        )
    return instruction


def _instruction(statement: Statement, name: str) -> AnyInstruction | Stage:
    try:
        return read_instruction(statement)
    except DockerfileError as error:
        raise DockerfileError(
            f"dockerfile parse error on line {statement.line}: {error.message}",
            statement.line,
            name=name,
            instruction=statement.original,
        ) from None
