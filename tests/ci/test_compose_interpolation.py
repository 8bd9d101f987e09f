"""Variables of compose files."""

from __future__ import annotations

import pytest

from ci.compose.interpolation import interpolate

ENVIRON = {"SET": "value", "EMPTY": "", "OTHER": "else"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain", "plain", id="no variable"),
        pytest.param("$SET/$OTHER", "value/else", id="bare"),
        pytest.param("a${SET}b", "avalueb", id="braced"),
        pytest.param("[$UNSET][${UNSET}]", "[][]", id="unset is empty"),
        pytest.param("$$SET and $${SET}", "$SET and ${SET}", id="escaped dollar"),
        pytest.param("^[a-z]*$ $1 $", "^[a-z]*$ $1 $", id="a dollar that starts no variable"),
        pytest.param("$$$1$$$", "$$1$$", id="pairs of dollars first"),
        pytest.param("${UNSET:-word} ${EMPTY:-word} ${SET:-word}", "word word value", id=":-"),
        pytest.param("${UNSET-word} ${EMPTY-word} ${SET-word}", "word  value", id="-"),
        pytest.param("${UNSET:+word}|${EMPTY:+word}|${SET:+word}", "||word", id=":+"),
        pytest.param("${UNSET+word}|${EMPTY+word}|${SET+word}", "|word|word", id="+"),
        pytest.param("${SET:?needed} ${EMPTY?needed}", "value ", id="required and there"),
        pytest.param("${UNSET:-${OTHER}}", "else", id="variable as default"),
        pytest.param("${UNSET:-${ALSO:-deep}/x}", "deep/x", id="nested defaults"),
        pytest.param("${UNSET:-a}b}", "ab}", id="a brace outside is text"),
        pytest.param("${UNSET:-http://h:80/?a=b}", "http://h:80/?a=b", id="operators in a default"),
        pytest.param("${UNSET:-}", "", id="empty default"),
        pytest.param("${SET:-${UNSET:?needed}}", "value", id="a default that is not needed"),
        pytest.param("${SET:+${OTHER}s}|${UNSET:+${NONE?}}", "elses|", id="nested alternative"),
        pytest.param("${UNSET:-$$}|${UNSET:-$${x}}", "$|${x}", id="escaped in a default"),
        pytest.param("${UNSET:-$SET}$OTHER", "valueelse", id="bare within and behind"),
        pytest.param("${UNSET:-a b: c}", "a b: c", id="blanks in a default"),
        pytest.param("${EMPTY?}|${SET?${NONE?}}", "|value", id="? wants it set, maybe empty"),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, expected: str) -> None:
    assert interpolate(text, ENVIRON) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("${UNSET:?say so}", "UNSET must be set: say so", id="required with a word"),
        pytest.param("${EMPTY:?}", "EMPTY must be set", id="required but empty"),
        pytest.param("${UNSET?}", "UNSET must be set", id="required"),
        pytest.param("${UNSET:?set ${OTHER}}", "UNSET must be set: set else", id="nested word"),
        pytest.param("${UNSET:-${NONE:?this one}}", "NONE must be set: this one", id="nested"),
        pytest.param("${}", "write '$$'", id="empty braces"),
        pytest.param("${SET", "not closed", id="open brace"),
        pytest.param("${UNSET:-word", "not closed", id="open brace in a default"),
        pytest.param("${SET!x}", "is no operator", id="unknown operator"),
    ],
)
def test_what_is_no_variable_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("$", r"\$")):
        interpolate(text, ENVIRON)
