"""Queries against a few small fields: chains, errors with their paths, and what is malformed."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import calls as calls_module
from engine import definitions
from engine.calls import Calls
from engine.document import RECURSION_LIMIT
from engine.errors import EngineError, ExecError
from engine.query import answer
from engine.session import Session
from engine.typesystem import TypeSystem

TYPES = TypeSystem.from_json(definitions.table("""
    interface Node { id: ID! }
    type Query { node(id: ID!): Node!  number(start: Int = 0): Number!  word: Word! }
    type Number implements Node {
        id: ID!  add(other: Int = 1): Number!  plus(number: ID!): Number!  value: Int!
        fail(how: String!): Number!  refused: Number!  unknown: Number!
        several: [Number!]!  nothing: String  sync: ID!
    }
    type Word implements Node { id: ID!  text: String! }
    """))


class Fake:
    """The resolvers of the schema above; counts how often numbers were added."""

    def __init__(self) -> None:
        self.added = 0
        self.ended = 0

    async def start(self, _: object, __: None, start: int) -> int:
        return start

    async def word(self, _: object, __: None) -> str:
        return "word"

    async def text(self, _: object, word: str) -> str:
        return word

    async def add(self, _: object, number: int, other: int) -> int:
        self.added += 1
        await asyncio.sleep(0)
        return number + other

    async def plus(self, _: object, left: int, number: int) -> int:
        return left + number

    async def value(self, _: object, number: int) -> int:
        return number

    async def fail(self, _: object, number: int, how: str) -> int:
        if how == "exec":
            raise ExecError("exit code: 3", command=["c"], exit_code=3, stdout="o\n", stderr="e")
        if how == "bug":
            raise ZeroDivisionError("a bug")
        raise EngineError(how)

    async def several(self, _: object, number: int) -> list[int]:
        return [number, number + 1]

    async def nothing(self, _: object, number: int) -> None:
        return None


@pytest.fixture(autouse=True)
def deep_recursion() -> Iterator[None]:
    """The limit of an engine's process, for these tests alone: code in C overflows by it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    fields = {
        ("Query", "number"): made.start,
        ("Query", "word"): made.word,
        ("Word", "text"): made.text,
        **{("Number", name): getattr(made, name) for name in "add plus value fail".split()},
        **{("Number", name): getattr(made, name) for name in ("several", "nothing")},
        ("Number", "sync"): made.value,
    }
    monkeypatch.setattr(calls_module, "RESOLVERS", fields)
    monkeypatch.setattr(calls_module, "REFUSED", {("Number", "refused"): "for a reason"})
    return made


@pytest.fixture
def calls(fake: Fake) -> Calls:
    return Calls(cast(Session, SimpleNamespace()), TYPES)


async def data(calls: Calls, query: str) -> Any:
    """The data of an answer without errors."""
    got = await answer(calls, query)
    assert "errors" not in got, got
    return got["data"]


async def error(calls: Calls, query: str) -> dict[str, Any]:
    """The one error of an answer."""
    got = await answer(calls, query)
    assert got["data"] is None
    [found] = got["errors"]
    assert set(found) == {"message", "locations", "path", "extensions"}
    return cast(dict[str, Any], found)


pytestmark = pytest.mark.anyio


async def test_chain_of_a_thousand_calls(calls: Calls, fake: Fake) -> None:
    query = "{number" + "{add" * 1000 + "{value}" + "}" * 1001
    found = await data(calls, query)
    for _ in range(1001):
        [found] = found.values()
    assert found == {"value": 1000}
    assert fake.added == 1000


async def test_chain_of_a_thousand_queries(calls: Calls, fake: Fake) -> None:
    current = (await data(calls, "{number{id}}"))["number"]["id"]
    for _ in range(1000):
        found = await data(calls, f'{{node(id:"{current}"){{... on Number{{add{{id}}}}}}}}')
        current = found["node"]["add"]["id"]
    assert fake.added == 0  # nothing is worked out before a leaf asks
    found = await data(calls, f'{{node(id:"{current}"){{... on Number{{value}}}}}}')
    assert found == {"node": {"value": 1000}}


async def test_equal_calls_are_worked_out_once(calls: Calls, fake: Fake) -> None:
    query = "{a: number(start: 1){add(other: 2){value}} b: number(start: 1){add(other: 2){value}}}"
    found = await data(calls, query)
    assert found == {"a": {"add": {"value": 3}}, "b": {"add": {"value": 3}}}
    await data(calls, query)
    assert fake.added == 1


async def test_default_and_its_spelled_out_value_are_one_call(calls: Calls, fake: Fake) -> None:
    await data(calls, "{number{add{value}} other: number(start: 0){add(other: 1){value}}}")
    assert fake.added == 1


async def test_object_is_an_argument_by_its_id(calls: Calls) -> None:
    five = (await data(calls, "{number(start: 5){id}}"))["number"]["id"]
    assert await data(calls, f'{{number(start: 2){{plus(number: "{five}"){{value}}}}}}') == {
        "number": {"plus": {"value": 7}}
    }


async def test_sync_answers_with_the_object_s_own_id(calls: Calls) -> None:
    found = (await data(calls, "{number{id sync}}"))["number"]
    assert found["id"] == found["sync"]


async def test_items_of_a_list_are_objects_of_their_own(calls: Calls) -> None:
    found = await data(calls, "{number(start: 4){several{id value nothing __typename}}}")
    items = found["number"]["several"]
    assert [item["value"] for item in items] == [4, 5]
    assert {item["__typename"] for item in items} == {"Number"}
    again = await data(calls, f'{{node(id: "{items[1]["id"]}"){{... on Number{{value}}}}}}')
    assert again == {"node": {"value": 5}}


async def test_failure_names_the_path_where_it_happened(calls: Calls) -> None:
    found = await error(calls, '{number{one: add{fail(how: "broken"){add{value}}}}}')
    assert found["message"] == "broken"
    assert found["path"][:2] == ["number", "one"]


async def test_failed_command_carries_what_the_sdk_needs(calls: Calls) -> None:
    found = await error(calls, '{number{fail(how: "exec"){value}}}')
    assert found["extensions"] == {
        "_type": "EXEC_ERROR",
        "cmd": ["c"],
        "exitCode": 3,
        "stdout": "o\n",
        "stderr": "e",
    }


async def test_failure_is_not_remembered(calls: Calls, fake: Fake) -> None:
    for _ in range(2):
        await error(calls, '{number{add{fail(how: "broken"){value}}}}')
    assert fake.added == 1


async def test_bug_is_reported_and_answered(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await error(calls, '{number{fail(how: "bug"){value}}}')
    assert found["message"] == "a bug"
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("query", "message", "path"),
    [
        pytest.param("{nothing}", "Cannot query field 'nothing'", ["nothing"], id="unknown field"),
        pytest.param(
            "{number{add{nope}}}", "Cannot query field 'nope' on type 'Number'", None, id="deeper"
        ),
        pytest.param(
            "{number{refused{value}}}",
            r"Number.refused is not in the embedded engine \(for a reason\)",
            ["number", "refused"],
            id="refused field",
        ),
        pytest.param(
            "{number{unknown{value}}}",
            "Number.unknown is not in the embedded engine; the real Dagger engine has it",
            None,
            id="field that is not there yet",
        ),
        pytest.param('{number(start: "a"){value}}', "Int", None, id="wrong type of argument"),
        pytest.param("{number{plus{value}}}", "number", None, id="missing argument"),
        pytest.param(
            '{node(id: "Number@0"){id}}', "not one of this session", None, id="foreign ID"
        ),
        pytest.param("{number}", "selection", None, id="object without a selection"),
        pytest.param("{number{", "Syntax Error", [], id="not closed"),
        pytest.param("", "Syntax Error", [], id="empty"),
        pytest.param("\0", "Syntax Error", [], id="no text"),
        pytest.param("fragment F on Number {value}", "holds no operation", [], id="no operation"),
        pytest.param("{number{...F}} fragment F on Number {value}", "fragment", None, id="spread"),
    ],
)
async def test_what_cannot_be_answered_is_an_error(
    calls: Calls, query: str, message: str, path: list[str] | None
) -> None:
    found = await error(calls, query)
    assert re.search(message, found["message"])
    assert path is None or found["path"] == path


async def test_id_of_another_type_is_refused(calls: Calls) -> None:
    word = (await data(calls, "{word{id}}"))["word"]["id"]
    found = await error(calls, f'{{node(id: "{word}"){{... on Number{{value}}}}}}')
    assert "expected an ID of type Number" in found["message"]


async def test_ids_of_another_session_are_refused(calls: Calls, fake: Fake) -> None:
    other = Calls(cast(Session, SimpleNamespace()), TYPES)
    foreign = (await data(other, "{number{id}}"))["number"]["id"]
    found = await error(calls, f'{{node(id: "{foreign}"){{id}}}}')
    assert "not one of this session" in found["message"]


async def test_ids_do_not_tell_the_arguments(calls: Calls, fake: Fake) -> None:
    other = Calls(cast(Session, SimpleNamespace()), TYPES)
    query = "{number(start: 12345){id}}"
    one, two = await data(calls, query), await data(other, query)
    assert "12345" not in one["number"]["id"]
    assert one != two  # so that a value cannot be guessed and compared


@given(st.text(alphabet='{}()[]:"\\ $!.@#nuberadvl0\n', max_size=40))
def test_no_text_makes_the_query_layer_fail(text: str) -> None:
    calls = Calls(cast(Session, SimpleNamespace()), TYPES)
    got = asyncio.run(answer(calls, text))
    assert set(got) in ({"data"}, {"data", "errors"})
