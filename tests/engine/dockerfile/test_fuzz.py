"""Random Dockerfiles, words and patterns: a result that holds, or an error of its own, only."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dockerfile.arguments import parse_platform
from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.expand import expand_heredoc, expand_word, expand_words
from engine.dockerfile.mounts import parse_mount, source_of
from engine.dockerfile.parser import parse, parse_trigger
from engine.dockerfile.ports import exposed
from engine.dockerfile.remotes import repository
from engine.dockerfile.signals import checked
from engine.patterns import PatternError, PatternList, read_ignore_file
from engine.root import Root
from engine.selection import Selection

# Lines that are right more often than not, so that what comes after them is looked at too.
LINES = (
    *("FROM x", "FROM y:1 AS two", "FROM --platform=$A two", "RUN true", "RUN --network=none a"),
    *("CMD a", 'CMD ["a", "b"]', "ENTRYPOINT []", "ENV A=1 B='2 3'", "ENV OLD form", "ARG A B=$C"),
    *("COPY a b", "COPY --from=two --chown=1 a /b/", 'ADD ["a b", "c"]', "LABEL a=b c=d"),
    *("EXPOSE 80 53/udp", "WORKDIR /a b", "USER u", "VOLUME /a /b", "STOPSIGNAL 9", "SHELL []"),
    *("HEALTHCHECK NONE", "HEALTHCHECK --interval=5s CMD a", "ONBUILD RUN a", "MAINTAINER me"),
    *("RUN <<EOF\na $B\nEOF", "RUN a <<-'E' && b <<F\n\tx\n\tE\ny\nF", 'COPY <<A <<"B" /\n1\nA\nB'),
    *("# a comment", "", "RUN a \\\n  b \\\n# c\n\n  d", "ONBUILD COPY <<E /e\nx\nE"),
)
PIECES = (
    *("a", "=", " ", "\t", "\\", "\\\n", "\r\n", "'", '"', "$A", "${A:-", "}", "#", "\n# c\n"),
    *("<<EOF", "<<-'EOF'", "\nEOF\n", "--from=x ", "--mount=type=cache,target=/c ", "--link "),
    *('["a"]', "[", "]", "[1]", "NONE", "CMD ", "--interval=5s ", "--", "\ufeff", "é", "`"),
)
HEADS = ("", "", "# escape=`\n", "# syntax=docker/dockerfile:1\n# check=skip=all\n", "\ufeff", "\n")
WORDS = (
    *("$", "{", "}", "${A", "${B", ":-", "+", "?", "#", "##", "%", "/", "//", "*", "\\", "'", '"'),
    *("a", " ", "<<", "`", "é", "\udcff", "${A:-x}", "${B:+y}", "${A%y}", "${A/x/z}"),
)
MOUNTS = (
    *("type=", "cache", "tmpfs", "secret", ",", "=", "target=/x", "from=a", "ro", "size=1m", '"'),
    *("mode=0755", "uid=1", "required", "id=a", "sharing=locked", "env=A", "$A", "type=cache,"),
)


def texts(pieces: tuple[str, ...], size: int = 25) -> st.SearchStrategy[str]:
    """Texts put together from `pieces` and from anything."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=size).map("".join)


def dockerfiles() -> st.SearchStrategy[str]:
    """Files of which most are in order; some lines have something else at their end."""
    damaged = st.tuples(st.sampled_from(LINES), texts(PIECES, 4)).map("".join)
    line = st.sampled_from(LINES) | st.sampled_from(LINES) | st.sampled_from(LINES) | damaged
    body = st.lists(line, max_size=8).map(lambda lines: "".join(f"{each}\n" for each in lines))
    return st.tuples(st.sampled_from(HEADS), body).map(
        lambda parts: f"{parts[0]}FROM x\n{parts[1]}"
    )


@settings(max_examples=5 * settings().max_examples)
@given(dockerfiles() | texts((*LINES, *PIECES, "\n")))
def test_any_text_is_a_dockerfile_or_an_error_in_one(text: str) -> None:
    try:
        file = parse(text)
    except DockerfileError as error:
        assert 0 <= error.line <= text.count("\n") + 1
        return
    lines = [i.line for stage in file.stages for i in (stage, *stage.instructions)]
    assert lines == sorted(set(lines)), "each instruction stands on a line of its own, in order"
    assert not lines or 1 <= lines[0] <= lines[-1] <= text.count("\n") + 1


@settings(max_examples=3 * settings().max_examples)
@given(dockerfiles())
def test_an_instruction_read_once_more_from_its_joined_text_is_the_same(text: str) -> None:
    try:
        file = parse(text)
    except DockerfileError:
        return
    if file.directives.escape != "\\":
        return
    for stage in file.stages:
        for instruction in stage.instructions:
            if "<<" in instruction.original:
                continue  # a here document is not in the line that opens it
            again = parse_trigger(instruction.original, instruction.line)
            assert replace(again, original=instruction.original) == instruction


@given(st.data())
def test_most_of_the_random_files_are_dockerfiles(data: st.DataObject) -> None:
    # Fuzzing that never gets past the first line finds nothing.
    plain = "".join(f"{data.draw(st.sampled_from(LINES))}\n" for _ in range(4))
    try:
        assert parse(f"FROM x\n{plain}").stages
    except DockerfileError as error:
        assert "SHELL requires" in str(error)


@settings(max_examples=4 * settings().max_examples)
@given(texts(WORDS), st.sampled_from(["\\", "`"]))
def test_any_word_expands_or_is_refused(text: str, escape: str) -> None:
    env = {"A": "x*y", "B": ""}
    for expand in (expand_word, expand_words):
        try:
            expand(text, env, escape)
        except DockerfileError:
            pass
    try:
        expand_heredoc(text, env)
    except DockerfileError:
        pass


@given(st.text(alphabet=st.characters(exclude_characters="$\\'\"<")))
def test_a_word_without_special_characters_stays_as_it_is(text: str) -> None:
    assert expand_word(text, {}) == text


@given(st.text(), st.text(alphabet="abc", min_size=1, max_size=3))
def test_a_value_comes_out_as_it_went_in(value: str, name: str) -> None:
    for form in (f"${name}", f"${{{name}}}", f'"${name}"', f"${{{name}-x}}", f"${{NO:-${name}}}"):
        assert expand_word(form, {name: value}) == value
    assert expand_word(f"${{{name}:+set}}", {name: value}) == ("set" if value else "")


_PATTERN = st.text(alphabet="ab.-*?", min_size=1, max_size=5)
_SUBSTITUTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["#", "##", "%", "%%", ":-", "-", ":+", "+"]), _PATTERN).map(
            "".join
        ),
        st.tuples(st.sampled_from(["/", "//"]), _PATTERN, st.text(alphabet="xy-", max_size=3)).map(
            lambda parts: f"{parts[0]}{parts[1]}/{parts[2]}"
        ),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=settings().max_examples // 2)
@given(st.text(alphabet="ab.-", max_size=8), _SUBSTITUTIONS)
def test_substitutions_give_what_bash_gives(value: str, substitutions: list[str]) -> None:
    words = [f"${{V{each}}}" for each in substitutions]
    script = f"set -f; V={shlex.quote(value)}; printf '%s\\n' " + " ".join(f'"{w}"' for w in words)
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert [expand_word(word, {"V": value}) for word in words] == said.split("\n")[:-1]


@settings(max_examples=2 * settings().max_examples)
@given(texts(MOUNTS))
def test_any_mount_is_read_or_refused(text: str) -> None:
    try:
        mount = parse_mount(text, lambda word: expand_word(word, {"A": "1"}))
    except DockerfileError:
        return
    assert source_of(text) == mount.from_ or "$" in text or "\\" in text or "'" in text


@given(texts(("80", "-", "/", ":", "udp", "tcp", "90", " ", "$A", "65536", "[::1]"), 6))
def test_any_word_is_ports_or_refused(text: str) -> None:
    try:
        found = list(exposed([text], {"A": "70-71"}, "\\"))
    except DockerfileError:
        return
    assert all(0 <= number <= 65535 for number, _ in found)


@given(texts(("http://", "git@", "x.test", ":", "/a", ".git", "#", "?", "ref=", "&", "-", "%"), 9))
def test_any_word_is_a_repository_or_something_else(text: str) -> None:
    try:
        found = repository(text)
    except DockerfileError:
        return
    assert found is None or not found.ref.startswith("-")
    assert found is None or re.match(r"https?://|git://|ssh://|[\w.-]+@", found.remote)


@given(texts(("linux", "/", "arm64", "v8", "x86_64"), 6), texts(("SIG", "TERM", "RTMIN", "+", "9")))
def test_any_word_is_a_platform_or_a_signal_or_refused(platform: str, signal: str) -> None:
    try:
        assert parse_platform(platform, "linux/amd64").count("/") in (1, 2)
        assert checked(signal) == signal
    except DockerfileError:
        pass


# Ignore files

_IGNORE = texts(("a", "b", "*", "**", "/", "!", "?", "[ab]", "\n", "\n", "#", ".", " ", "\\"), 14)
_NAMES = st.text(alphabet="ab.", min_size=1, max_size=2).filter(
    lambda name: name not in (".", "..")
)
_PATHS = st.lists(st.lists(_NAMES, min_size=1, max_size=3).map("/".join), max_size=8)


@settings(max_examples=3 * settings().max_examples)
@given(_IGNORE)
def test_any_ignore_file_is_read_or_its_pattern_refused(text: str) -> None:
    patterns = read_ignore_file(text)
    bare = [line.removeprefix("!") for line in patterns]
    again = [p for p, b in zip(patterns, bare, strict=True) if b.strip() == b and p[:1] != "#"]
    assert read_ignore_file("\n".join(again)) == again
    try:
        PatternList(patterns).matches("a/b")
    except PatternError:
        pass


@settings(max_examples=2 * settings().max_examples)
@given(_IGNORE, _PATHS)
def test_a_walk_leaves_out_what_the_patterns_name_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, text: str, paths: list[str]
) -> None:
    patterns = tuple(read_ignore_file(text))
    try:
        ignored = PatternList(patterns)
    except PatternError:
        return
    top = _tree(tmp_path_factory, paths)
    with Root(str(top)) as root:
        kept = {e.path for e in Selection(exclude=patterns).of(root, "/") if not e.is_dir}
    every = {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}
    # A walk does not look into a folder that is ignored unless an exception could be in it.
    assert kept == {path for path in every if not ignored.matches(path)}


def _tree(factory: pytest.TempPathFactory, paths: list[str]) -> Path:
    top = factory.mktemp("tree")
    for path in paths:
        place = top / path
        try:
            os.makedirs(place.parent, exist_ok=True)
            place.touch()
        except OSError:
            pass  # a file stands where another one needs a folder
    return top
