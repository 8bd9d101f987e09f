"""Word expansion against the results of BuildKit's shell lexer."""

from __future__ import annotations

import pytest

from engine.dockerfile.errors import ExpansionError
from engine.dockerfile.expand import expand_heredoc, expand_word, expand_words

ENV = {"A": "1", "EMPTY": "", "WORDS": "two words", "FILE": "lib/app.tar.gz", "STARS": "a**b*"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$A", "1"),
        ("${A}x", "1x"),
        ("$A$A", "11"),
        ("$NONE.", "."),
        ("'$A'", "$A"),
        ('"$A"', "1"),
        (r"\$A", "$A"),
        (r"\\$A", r"\1"),
        (r"'\$A'", r"\$A"),
        (r'"\$A \n \""', r'$A \n "'),
        (r"a\ b", "a b"),
        ("trailing\\", "trailing"),
        ("a'b'c\"d\"", "abcd"),
        ("a b", "a b"),
        ("$", "$"),
        ("$.", "$."),
        ("$1x", "x"),
        ("$@@", "@"),
        ("a<b", "a<b"),
        ("<< EOF", "<< EOF"),
        ("é$A", "é1"),
        ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"),
        ("${A:-x}", "1"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        ("${A?never}", "1"),
        ("${EMPTY?never}", ""),
        ("${NONE:-${A:-x}}", "1"),
        ("${NONE:-'$A'}", "$A"),
        (r"${NONE:-\}}", "}"),
        ("${FILE#*.}", "tar.gz"),
        ("${FILE##*.}", "gz"),
        ("${FILE%.*}", "lib/app.tar"),
        ("${FILE%%.*}", "lib/app"),
        ("${FILE#lib}", "/app.tar.gz"),
        ("${FILE#app}", "lib/app.tar.gz"),
        ("${FILE%%}", "lib/app.tar.gz"),
        (r"${FILE#*\/}", "app.tar.gz"),
        (r"${STARS%\*}", "a**b"),
        (r"${STARS%%\**}", "a"),
        (r"${STARS#a\*}", "*b*"),
        ("${FILE/a/A}", "lib/App.tar.gz"),
        ("${FILE//a/A}", "lib/App.tAr.gz"),
        ("${FILE//?a?/-}", "lib-p.-.gz"),
        ("${FILE/none/x}", "lib/app.tar.gz"),
        (r"${FILE/\//-}", "lib-app.tar.gz"),
        ("${FILE//*/x}", "x"),
        ("${FILE/$A/x}", "lib/app.tar.gz"),
        ("${NONE/a/b}", ""),
    ],
)
def test_a_word_expands_as_the_frontend_expands_it(text: str, expected: str) -> None:
    assert expand_word(text, ENV) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'open", "looking for matching single-quote"),
        ('"open', "looking for matching double-quote"),
        ("${A", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${A:-x", "syntax error: missing '}'"),
        ("${A/x}", "syntax error: missing '/' in ${}"),
        ("${}", "syntax error: bad substitution"),
        ("${:-x}", "syntax error: bad substitution"),
        ("${A:x}", "unsupported modifier (:x) in substitution"),
        ("${A:#x}", "unsupported modifier (:#) in substitution"),
        ("${A=x}", "unsupported modifier (=) in substitution"),
        ("${NONE?must be $A}", "NONE: must be 1"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        (r"${A#\x}", r"invalid pattern (\x) in substitution"),
        ("${A:-" * 3000, "nested too deeply"),
    ],
)
def test_a_malformed_word_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand_word(text, ENV)
    assert reason in str(caught.value)
    assert "failed to process" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80 81", ["80", "81"]),
        ("  80\t81 ", ["80", "81"]),
        ("$WORDS", ["two", "words"]),
        ('"$WORDS"', ["two words"]),
        ("a$WORDS", ["atwo", "words"]),
        (r"a\ b", ["a b"]),
        ("'a b' c", ["a b", "c"]),
        ("$EMPTY", []),
        ("", []),
    ],
)
def test_words_split_after_expansion_and_not_within_quotes(text: str, expected: list[str]) -> None:
    assert expand_words(text, ENV) == expected


def test_the_escape_directive_replaces_the_backslash() -> None:
    assert expand_word(r"C:\`$A`` ", ENV, escape="`") == r"C:\$A` "
    assert expand_word(r"\$A", ENV, escape="`") == r"\1"


def test_a_heredoc_keeps_its_quotes_and_loses_its_escapes() -> None:
    assert expand_heredoc("'$A' \"$A\" \\$A\n", ENV) == "'1' \"1\" $A\n"
