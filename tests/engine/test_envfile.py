from __future__ import annotations

import pytest

from engine.envfile import EnvFile
from engine.errors import EngineError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("A=", "", id="empty"),
        pytest.param("A=one two", "one two", id="bare words"),
        pytest.param("A='$HOST \"x\"'", '$HOST "x"', id="single quotes"),
        pytest.param('A="$HOST \\"x\\""', 'outside "x"', id="double quotes"),
        pytest.param("A=${NONE:-other}", "other", id="default"),
        pytest.param("A=cost$", "cost$", id="a dollar alone"),
        pytest.param("A='x' # why", "x", id="comment behind quotes"),
        pytest.param("A=x=y", "x=y", id="second equals sign"),
        pytest.param("export A=1", "1", id="export"),
    ],
)
def test_values_read_as_in_a_shell(line: str, expected: str) -> None:
    assert EnvFile.parse(line).values({"HOST": "outside"}) == {"A": expected}


def test_values_refer_to_later_ones_and_the_last_assignment_counts() -> None:
    env = EnvFile.parse("A=$B\nB=1\nB=2\n")
    assert env.values({}) == {"A": "2", "B": "2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=$NONE, x", "A: NONE: unbound variable"),
        ("A=${NONE}", "A: NONE: unbound variable"),
        ("A=$EMPTY\nEMPTY=", "A: EMPTY: unbound variable"),
        ("A=a$B\nB=b$A", "A: B: unbound variable"),
    ],
)
def test_what_is_nowhere_set_fails_who_refers_to_it_alone(text: str, message: str) -> None:
    env = EnvFile.parse(f"{text}\nOTHER=1\nGIVEN=${{NONE:-given}}\n")
    with pytest.raises(EngineError, match=f"^{message}$"):
        env.value("A", {})
    assert [env.value(name, {}) for name in ("OTHER", "GIVEN", "MISSING")] == ["1", "given", ""]


@pytest.mark.parametrize("prefix", ["my-app", "my_app_", "myApp", "MyApp"])
def test_a_namespace_is_found_however_its_words_are_joined(prefix: str) -> None:
    env = EnvFile.parse("my_app_a=1\nmyApp_b=2\nMY_APP_c=3\nmyapple=4\nbad=$NONE\n")
    assert env.namespace(prefix, {}).values({}) == {"a": "1", "b": "2", "c": "3"}


def test_variables_are_in_the_order_of_their_names() -> None:
    assert list(EnvFile.parse("B=1\nA=2\n").values({})) == ["A", "B"]


@pytest.mark.parametrize("line", ["A = 1", "A", "1A=1", "=1"])
def test_what_assigns_nothing_is_refused_with_the_line(line: str) -> None:
    with pytest.raises(EngineError, match=f'"{line}": not a bare assignment'):
        EnvFile.parse(line)


@pytest.mark.parametrize("value", ["$(id)", "`id`", "x$(id)"])
def test_commands_are_not_run(value: str) -> None:
    with pytest.raises(EngineError, match="is not run"):
        EnvFile.parse(f'A="{value}"').values({})


def test_an_open_quote_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(EngineError, match="^A: .*unexpected end of statement"):
        EnvFile.parse("A='x").values({})


def test_a_namespace_takes_its_prefix_away_and_keeps_values_as_they_are() -> None:
    env = EnvFile.parse("MY_APP_A='$x'\nmy_app_b=2\nOTHER=3\n")
    assert env.namespace("my-app", {}).values({}) == {"A": "$x", "b": "2"}
