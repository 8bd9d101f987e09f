"""The syntax tree of a Dockerfile, as the parser gives it and the builder reads it.

Words that a build may expand (`$NAME`, quotes, escapes) stay as they were written: what they mean
depends on the environment at that line, which only the builder knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """The `# name=value` lines at the head of the file."""

    syntax: str | None = None
    escape: str = "\\"
    check: str | None = None
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Where each one stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """A here document: a file written in the Dockerfile itself.

    `content` is final for `<<-` too (leading tabs are gone); `expand` is false when the
    delimiter was quoted, and then variables in `content` stay as they are.
    """

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions have: where they stand, and their text with lines joined."""

    line: int
    original: str

    @property
    def keyword(self) -> str:
        """The instruction's name in upper case."""
        return self.original.split(None, 1)[0].upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Instruction):
    """A command line: either `command`, which the stage's shell runs, or `argv`."""

    command: str | None = None
    argv: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Command):
    """RUN.

    `command` already holds its here documents, ready for the shell. A lone here document that
    begins with `#!` is `script` instead: a file to be made executable and run by the shell;
    `command` is then None. `mounts` are the texts of `--mount` (see `mounts.parse_mount`),
    `devices` those of `--device`.
    """

    script: Heredoc | None = None
    mounts: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Command):
    """CMD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Command):
    """ENTRYPOINT; `argv` is empty for `ENTRYPOINT []`, which takes the base's away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Instruction):
    """What COPY and ADD share: sources, here documents as further sources, and a destination."""

    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...] = ()
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Transfer):
    """COPY; `from_` is a stage's name or number, an image, or "" for the build context."""

    from_: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Transfer):
    """ADD; `unpack` and `keep_git_dir` are None where the flag was not given."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """ENV: names and values, both unexpanded; a line sees only what earlier lines set."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """ARG: names with their default, or None where there is none."""

    arguments: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """LABEL: names and values, both unexpanded."""

    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """USER."""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """EXPOSE: words such as `80`, `53/udp`, `8000-8010` or `$PORT`, which may expand to several."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """SHELL: what later shell-form commands are handed to."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """HEALTHCHECK.

    `test` is `("NONE",)`, `("CMD", argument, ...)` or `("CMD-SHELL", text)`; times are in
    nanoseconds, and zero means not given.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopsignal(Instruction):
    """STOPSIGNAL."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """VOLUME."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Instruction):
    """ONBUILD: an instruction for builds on top of this image, kept as text."""

    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """MAINTAINER, the old form of an author label."""

    name: str


AnyInstruction: TypeAlias = (
    Run
    | Cmd
    | Entrypoint
    | Copy
    | Add
    | Env
    | Arg
    | Label
    | Workdir
    | User
    | Expose
    | Shell
    | Healthcheck
    | Stopsignal
    | Volume
    | Onbuild
    | Maintainer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Instruction):
    """FROM and the instructions up to the next one.

    `name` is in lower case, "" where there is none; `base` and `platform` are unexpanded and
    see the file's global arguments only.
    """

    name: str = ""
    base: str
    platform: str = ""
    instructions: tuple[AnyInstruction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A whole file: `arguments` are the ARG lines before the first FROM."""

    name: str
    directives: Directives = field(default_factory=Directives)
    arguments: tuple[Arg, ...] = ()
    stages: tuple[Stage, ...] = ()

    def find(self, reference: str, before: int | None = None) -> int | None:
        """The last stage named `reference` (any case), of those `before` an index if given."""
        wanted = reference.lower()
        for index in reversed(range(len(self.stages[:before]))):
            if wanted and self.stages[index].name == wanted:
                return index
        return None
