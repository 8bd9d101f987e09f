"""Random Dockerfiles and words end in a syntax tree or in a DockerfileError, nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dockerfile.errors import DockerfileError
from engine.dockerfile.expand import expand_heredoc, expand_word, expand_words
from engine.dockerfile.mounts import parse_mount
from engine.dockerfile.parser import parse

KEYWORDS = (
    *("FROM x", "RUN", "CMD", "ENV", "ARG", "COPY", "ADD", "LABEL", "EXPOSE", "ONBUILD"),
    *("HEALTHCHECK", "SHELL", "USER", "WORKDIR", "VOLUME", "STOPSIGNAL", "ENTRYPOINT"),
)
PIECES = (
    *("a", "=", " ", "\t", "\n", "\\", "\\\n", "\r\n", "'", '"', "$A", "${A:-", "}", "#", "# c\n"),
    *("<<EOF", "<<-'EOF'", "\nEOF\n", "--from=x ", "--mount=type=cache ", "--link ", "--"),
    *('["a"]', "[", "]", "[1]", "NONE", "CMD ", "--interval=5s ", "# escape=`\n", "\ufeff", "é"),
)
WORDS = (
    *("$", "{", "}", "${A", "${B", ":-", "+", "?", "#", "##", "%", "/", "//", "*", "\\", "'", '"'),
    *("a", " ", "<<", "`", "é", "\udcff"),
)
MOUNTS = (
    *("type=", "cache", "tmpfs", "secret", ",", "=", "target=/x", "from=a", "ro", "size=1m", '"'),
    *("mode=0755", "uid=1", "required", "id=a", "sharing=locked", "env=A", "$A"),
)


def texts(pieces: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Texts put together from `pieces` and from anything."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=25).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KEYWORDS), texts(PIECES)), max_size=4), texts(PIECES))
def test_any_text_is_a_dockerfile_or_an_error_in_one(
    lines: list[tuple[str, str]], head: str
) -> None:
    text = head + "".join(f"\n{keyword} {rest}" for keyword, rest in lines)
    try:
        file = parse(text)
    except DockerfileError as error:
        assert 0 <= error.line <= text.count("\n") + 1
        return
    for stage in file.stages:
        assert all(1 <= i.line <= text.count("\n") + 1 for i in stage.instructions)


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=200, deadline=None)
@given(texts(MOUNTS))
def test_any_mount_is_read_or_refused(text: str) -> None:
    try:
        parse_mount(text, lambda word: expand_word(word, {"A": "1"}))
    except DockerfileError:
        pass
