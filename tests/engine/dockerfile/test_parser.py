"""Dockerfiles and the syntax trees that BuildKit's frontend makes of them."""

from __future__ import annotations

import textwrap
from typing import TypeVar

import pytest

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.instructions import (
    Add,
    AnyInstruction,
    Arg,
    Cmd,
    Copy,
    Directives,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Heredoc,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from engine.dockerfile.parser import parse, parse_trigger

T = TypeVar("T")


def instructions(body: str) -> tuple[AnyInstruction, ...]:
    """What `body` gives as the only stage's instructions."""
    return parse("FROM base\n" + body).stages[0].instructions


def only(kind: type[T], body: str) -> T:
    """The single instruction of `body`."""
    (instruction,) = instructions(body)
    assert isinstance(instruction, kind)
    return instruction


def test_stages_have_names_bases_platforms_and_lines() -> None:
    file = parse(
        "ARG V=1 W\nFROM --platform=$BUILDPLATFORM base:$V AS Build\nRUN a\n\nfrom build as two\n"
    )
    assert [argument.arguments for argument in file.arguments] == [(("V", "1"), ("W", None))]
    first, second = file.stages
    assert (first.name, first.base, first.platform, first.line) == (
        "build",
        "base:$V",
        "$BUILDPLATFORM",
        2,
    )
    assert (second.name, second.base, second.instructions) == ("two", "build", ())
    assert (file.find("BUILD"), file.find("nope"), file.find("")) == (0, None, None)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", Directives()),
        ("# syntax=docker/dockerfile:1\n", Directives(syntax="docker/dockerfile:1")),
        ("#escape=`\n", Directives(escape="`")),
        (
            "# check = skip=all;error=true \n# ESCAPE=`\n",
            Directives(check="skip=all;error=true", escape="`"),
        ),
        ("# a comment\n# escape=`\n", Directives()),
        ("\n# escape=`\n", Directives()),
        ("# unknown=1\n# escape=`\n", Directives()),
        ("\ufeff# escape=`\r\n", Directives(escape="`")),
    ],
)
def test_directives_count_only_at_the_head_of_the_file(head: str, expected: Directives) -> None:
    assert parse(head + "FROM base\n").directives == expected


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("RUN a \\\n  b\n", "a   b"),
        ("RUN a \\\r\n  b\r\n", "a   b"),
        ("RUN a && \\\n    # comment\n    b\n", "a &&     b"),
        ("RUN a \\\n\n\n  b\n", "a   b"),
        ("RUN a \\  \nb\n", "a b"),
        ("RUN a \\", "a"),
        ("RUN a \\\\\n", "a \\\\"),
        ("  run a # not a comment\n", "a # not a comment"),
        ("RUN\ta", "a"),
        ("RUN", ""),
    ],
)
def test_continued_lines_are_joined(body: str, command: str) -> None:
    assert only(Run, body).command == command


def test_the_escape_directive_changes_what_continues_a_line() -> None:
    (run,) = parse("# escape=`\nFROM base\nRUN a `\n b\\\n").stages[0].instructions
    assert isinstance(run, Run)
    assert run.command == "a  b\\"


def test_an_instruction_knows_where_it_stands_and_what_was_written() -> None:
    first, second = instructions("\n# c\nENV A=1 \\\n    B=2\nRUN x\n")
    assert (first.line, first.original, first.keyword) == (4, "ENV A=1     B=2", "ENV")
    assert second.line == 6


@pytest.mark.parametrize(
    ("body", "variables"),
    [
        ("ENV A=1", (("A", "1"),)),
        (
            "ENV A=1 B=\"two words\" C='$A' D=a\\ b",
            (("A", "1"), ("B", '"two words"'), ("C", "'$A'"), ("D", "a\\ b")),
        ),
        ("ENV OLD old form $A", (("OLD", "old form $A"),)),
        ("ENV OLD \t a=b", (("OLD", "a=b"),)),
        ('ENV A="x \\" y"', (("A", '"x \\" y"'),)),
        ("ENV A='x\\' B=1", (("A", "'x\\'"), ("B", "1"))),
        ("ENV A=\\\nx", (("A", "x"),)),
        ("ENV A= B=", (("A", ""), ("B", ""))),
    ],
)
def test_env_keeps_its_words_unexpanded(body: str, variables: tuple[tuple[str, str], ...]) -> None:
    assert only(Env, body).variables == variables


@pytest.mark.parametrize("keyword", ["CMD", "ENTRYPOINT", "RUN"])
@pytest.mark.parametrize(
    ("rest", "command", "argv"),
    [
        ("echo 'a b'", "echo 'a b'", None),
        ('["echo", "a b"]', None, ("echo", "a b")),
        ("[ ]", None, ()),
        ("['single']", "['single']", None),
        ('["open"', '["open"', None),
        ('["a"] && b', '["a"] && b', None),
        ("[NaN]", "[NaN]", None),
        ('["\\u00e9\\n", "\\ud800"]', None, ("é\n", "\ufffd")),
        ("[" * 9000, "[" * 9000, None),
    ],
)
def test_a_command_is_a_json_list_or_for_the_shell(
    keyword: str, rest: str, command: str | None, argv: tuple[str, ...] | None
) -> None:
    kind = {"CMD": Cmd, "ENTRYPOINT": Entrypoint, "RUN": Run}[keyword]
    found = only(kind, f"{keyword} {rest}")
    assert (found.command, found.argv) == (command, argv)


def test_run_takes_mounts_network_and_security() -> None:
    run = only(
        Run,
        "RUN --mount=type=cache,target=/c --mount='type=bind,source=a b' --network=none "
        "--security=insecure --device=vendor.com/gpu=all -- --x\n",
    )
    assert run.mounts == ("type=cache,target=/c", "type=bind,source=a b")
    assert run.devices == ("vendor.com/gpu=all",)
    assert (run.network, run.security, run.command) == ("none", "insecure", "--x")


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("RUN <<EOF\nset -e\necho $X\nEOF\n", "set -e\necho $X\n"),
        ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF\n", "a\nb\n"),
        ("RUN <<'E F'\na\nE F\n", "a\n"),
        ("RUN python3 <<EOF\nprint()\nEOF\n", "python3 <<EOF\nprint()\nEOF"),
        ("RUN <<EOF sh\nx\nEOF\n", "<<EOF sh\nx\nEOF"),
        ("RUN cat <<-A <<B\n\ta\n\tA\nb\nB\n", "cat <<-A <<B\n\ta\nA\nb\nB"),
        ("RUN 3<<EOF cat\nx\nEOF\n", "3<<EOF cat\nx\nEOF"),
        ("RUN --mount=type=tmpfs,target=/t <<EOF\nx\nEOF\n", "x\n"),
        ("RUN <<EOF\n# kept\n\nx \\\nEOF\n", "# kept\n\nx \\\n"),
        ('RUN echo "<<EOF"', 'echo "<<EOF"'),
        ("RUN cat <<<EOF", "cat <<<EOF"),
    ],
)
def test_run_hands_here_documents_to_the_shell(body: str, command: str) -> None:
    run = only(Run, body)
    assert (run.command, run.script) == (command, None)


def test_a_here_document_with_an_interpreter_is_a_script() -> None:
    run = only(Run, "RUN <<-EOF\n\t#!/usr/bin/env python3\n\tprint()\n\tEOF\n")
    assert run.command is None
    assert run.script == Heredoc(
        name="EOF", content="#!/usr/bin/env python3\nprint()\n", expand=True
    )


def test_copy_takes_flags_sources_and_here_documents() -> None:
    copy = only(
        Copy,
        "COPY --from=build --chown=1:2 --chmod=0644 --link --parents --exclude=*.a --exclude=b "
        'x <<A <<-"B" /d/\n1\nA\n\t2\n\tB\n',
    )
    assert (copy.sources, copy.destination) == (("x",), "/d/")
    assert copy.heredocs == (
        Heredoc(name="A", content="1\n", expand=True),
        Heredoc(name="B", content="2\n", expand=False),
    )
    assert (copy.from_, copy.chown, copy.chmod) == ("build", "1:2", "0644")
    assert (copy.link, copy.parents, copy.excludes) == (True, True, ("*.a", "b"))


def test_copy_takes_a_json_list_for_names_with_spaces() -> None:
    copy = only(Copy, 'COPY --link=false ["sp ace", "<<EOF", "/sp ace"]')
    assert (copy.sources, copy.destination, copy.link) == (("sp ace", "<<EOF"), "/sp ace", False)


def test_add_tells_flags_not_given_from_false() -> None:
    plain = only(Add, "ADD a /b")
    assert (plain.unpack, plain.keep_git_dir, plain.checksum) == (None, None, "")
    flags = only(Add, "ADD --unpack=false --keep-git-dir --checksum=sha256:1 a /b")
    assert (flags.unpack, flags.keep_git_dir, flags.checksum) == (False, True, "sha256:1")


@pytest.mark.parametrize(
    ("body", "test", "times"),
    [
        ("HEALTHCHECK NONE", ("NONE",), (0, 0, 0, 0, 0)),
        ("HEALTHCHECK CMD a b", ("CMD-SHELL", "a b"), (0, 0, 0, 0, 0)),
        (
            'HEALTHCHECK --interval=5s --timeout=1m30s --retries=3 cmd ["a", "b"]',
            ("CMD", "a", "b"),
            (5 * 10**9, 90 * 10**9, 0, 0, 3),
        ),
        (
            "HEALTHCHECK --start-period=1.5s --start-interval=1ms --interval=0 CMD x",
            ("CMD-SHELL", "x"),
            (0, 0, 1_500_000_000, 1_000_000, 0),
        ),
    ],
)
def test_healthcheck_has_a_test_and_times_in_nanoseconds(
    body: str, test: tuple[str, ...], times: tuple[int, ...]
) -> None:
    check = only(Healthcheck, body)
    assert check.test == test
    assert times == (
        check.interval,
        check.timeout,
        check.start_period,
        check.start_interval,
        check.retries,
    )


def test_the_small_instructions_keep_their_text() -> None:
    found = instructions(
        'LABEL a=1 "b c"="d e"\nARG X="1 2" Y\nWORKDIR /a b\nUSER $U:g\nEXPOSE 80 53/udp\n'
        'VOLUME ["/a b"]\nVOLUME /c /d\nSTOPSIGNAL SIGTERM\nMAINTAINER me <m@x>\n'
        'SHELL ["bash", "-c"]\n'
    )
    places = {"line", "original"}
    kinds = (Label, Arg, Workdir, User, Expose, Volume, Volume, Stopsignal, Maintainer, Shell)
    assert tuple(type(instruction) for instruction in found) == kinds
    values = [
        getattr(instruction, name)
        for instruction in found
        for name in type(instruction).__dataclass_fields__
        if name not in places
    ]
    assert values == [
        (("a", "1"), ('"b c"', '"d e"')),
        (("X", '"1 2"'), ("Y", None)),
        "/a b",
        "$U:g",
        ("53/udp", "80"),
        ("/a b",),
        ("/c", "/d"),
        "SIGTERM",
        "me <m@x>",
        ("bash", "-c"),
    ]


def test_onbuild_keeps_its_instruction_as_text_with_here_documents() -> None:
    onbuild = only(Onbuild, "ONBUILD  RUN <<-EOF \\\n  sh\n\tx\nEOF\n")
    assert onbuild.expression == "RUN <<-EOF   sh\n\tx\nEOF"
    run = parse_trigger(onbuild.expression, line=7)
    assert isinstance(run, Run)
    assert (run.line, run.command) == (7, "<<-EOF   sh\n\tx\nEOF")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("FROM x", "FROM isn't allowed"),
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"),
        ("NOPE", "unknown instruction: NOPE"),
    ],
)
def test_a_bad_trigger_points_at_the_line_that_names_the_base(
    expression: str, message: str
) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        parse_trigger(expression, line=3)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "file with no instructions"),
        ("# nothing\n\n", 0, "file with no instructions"),
        ("RUN true\n", 1, "no build stage in current context"),
        ("ARG A=1\n", 0, "dockerfile contains no stages to build"),
        (
            "FROM b\nNOPE x\n",
            2,
            "dockerfile parse error on line 2: unknown instruction: NOPE (did you mean COPY?)",
        ),
        ("FROM b\nrum x\n", 2, "unknown instruction: rum (did you mean run?)"),
        ("FROM b\nSOMETHING x\n", 2, "unknown instruction: SOMETHING (Dockerfile:2"),
        ("FROM a b\n", 1, "FROM requires either one or three arguments"),
        ("FROM a AS 1x\n", 1, 'invalid name for build stage: "1x"'),
        ("FROM a\nENV\n", 2, "ENV requires at least one argument"),
        ("FROM a\nENV A\n", 2, "ENV must have two arguments"),
        ("FROM a\nENV A=1 B\n", 2, 'can\'t find = in "B"'),
        ("FROM a\nLABEL =1\n", 2, "LABEL names can not be blank"),
        ("FROM a\nARG =1\n", 2, "ARG names can not be blank"),
        ("FROM a\nCOPY x\n", 2, "COPY requires at least two arguments"),
        ("FROM a\nCOPY x <<E\nE\n", 2, "COPY cannot accept a heredoc as a destination"),
        ("FROM a\n\nRUN <<E\nx\n", 3, "unterminated heredoc"),
        ("FROM a\nRUN --mont=x y\n", 2, "unknown flag: --mont (did you mean mount?)"),
        ("FROM a\nRUN --network=mine y\n", 2, 'invalid network mode "mine"'),
        ("FROM a\nRUN --security=mine y\n", 2, 'security "mine" is not valid'),
        ("FROM a\nRUN --mount=from=$X y\n", 2, "'from' doesn't support variable expansion"),
        ("FROM a\nCOPY --from a b\n", 2, "missing a value on flag: --from"),
        ("FROM a\nCOPY --link= a b\n", 2, "missing a value on flag: --link"),
        ("FROM a\nCOPY --link=x a b\n", 2, "expecting boolean value for flag --link, not: x"),
        ("FROM a\nCOPY --from=a --from=b c d\n", 2, "duplicate flag specified: --from"),
        ("FROM a\nCMD --x y\n", 2, "unknown flag: --x"),
        ('FROM a\nCMD ["a", 1]\n', 2, "arrays must be comprised of strings only"),
        ("FROM a\nSHELL bash\n", 2, "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nSHELL []\n", 2, "SHELL requires at least one argument"),
        ('FROM a\nVOLUME [""]\n', 2, "VOLUME specified can not be an empty string"),
        ("FROM a\nWORKDIR\n", 2, "WORKDIR requires exactly one argument"),
        ("FROM a\nHEALTHCHECK\n", 2, "HEALTHCHECK requires at least one argument"),
        ("FROM a\nHEALTHCHECK NONE x\n", 2, "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nHEALTHCHECK TCP x\n", 2, 'Unknown type "TCP" in HEALTHCHECK (try CMD)'),
        ("FROM a\nHEALTHCHECK CMD\n", 2, "Missing command after HEALTHCHECK CMD"),
        ("FROM a\nHEALTHCHECK --interval=5 CMD x\n", 2, 'missing unit in duration "5"'),
        ("FROM a\nHEALTHCHECK --interval=1us CMD x\n", 2, "cannot be less than 1ms"),
        ("FROM a\nHEALTHCHECK --timeout=x CMD x\n", 2, 'invalid duration "x"'),
        ("FROM a\nHEALTHCHECK --timeout=1y CMD x\n", 2, 'unknown unit "y"'),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x\n", 2, "--retries cannot be negative (-1)"),
        ("FROM a\nHEALTHCHECK --retries=x CMD x\n", 2, "invalid syntax"),
        ("FROM a\nONBUILD ONBUILD RUN x\n", 2, "Chaining ONBUILD via `ONBUILD ONBUILD`"),
        ("FROM a\nONBUILD from x\n", 2, "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD\n", 2, "ONBUILD requires at least one argument"),
        ("# escape=x\nFROM a\n", 1, "invalid escape token 'x' does not match ` or \\"),
        ("# check=a\n# check=b\nFROM a\n", 2, "only one check parser directive can be used"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(text: str, line: int, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_an_error_names_file_line_and_instruction() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM base\nNOPE x \\\n  y\n", name="sub/Other.Dockerfile")
    assert str(caught.value) == (
        "dockerfile parse error on line 2: unknown instruction: NOPE (did you mean COPY?) "
        "(sub/Other.Dockerfile:2: NOPE x   y)"
    )


def test_a_long_instruction_is_cut_in_the_error_text() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM base\nNOPE " + "x" * 5000)
    assert len(str(caught.value)) < 400
    assert len(caught.value.instruction) > 5000


def test_a_dockerfile_in_the_shape_of_a_real_project_parses() -> None:
    text = textwrap.dedent("""\
        # syntax=docker/dockerfile:1
        ARG PYTHON=3.11
        FROM python:${PYTHON}-slim AS build
        ENV PIP_NO_CACHE_DIR=1 \\
            # comment inside
            PATH="/venv/bin:$PATH"
        COPY requirements/*.txt /tmp/
        RUN --mount=type=cache,target=/root/.cache/pip \\
            python -m venv /venv \\
         && pip install -r /tmp/app.txt

        FROM python:${PYTHON}-slim
        COPY --from=build --chown=1000:1000 /venv /venv
        USER 1000
        HEALTHCHECK --interval=10s CMD ["python", "-c", "pass"]
        ENTRYPOINT ["python", "-m", "app"]
        """)
    file = parse(text)
    assert [type(i).__name__ for s in file.stages for i in s.instructions] == [
        *("Env", "Copy", "Run"),
        *("Copy", "User", "Healthcheck", "Entrypoint"),
    ]
