"""A recorded result goes only to a step with the same arguments, and an answer only to the same question."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections import Counter
from dataclasses import InitVar, dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import AsyncContext, Context, Field, runbook
from airplane_runbooks.server.authoring.calls import StepCall
from airplane_runbooks.server.engine import store_engine
from airplane_runbooks.server.execution import guard
from airplane_runbooks.server.execution.digests import Digests, canonical
from airplane_runbooks.server.secrets.vault import Vault
from airplane_runbooks.server.storage.interface import RunQuery
from airplane_runbooks.server.storage.sql_store import SqlStore
from tests.support.servers import eventually, served, started

NUMBERS = count()
FLAGS: dict[str, Any] = {}
CALLS: Counter[str] = Counter()


def take(what, at=None, **more):
    CALLS["take"] += 1
    return [str(what), str(at)]


def never_the_same():
    return next(NUMBERS)


@runbook
async def hands_out(context: AsyncContext) -> list[str]:
    """Take the results of many as they come, and ask in between."""

    async def one(item: str) -> tuple[str, str]:
        return item, (await context.step(take, item))[0]

    pairs = [await each for each in asyncio.as_completed([one(f"item {number}") for number in range(8)])]
    await context.prompt("Right?", go=bool)
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    FLAGS["wrong"] = wrong
    return [str(pair) for pair in wrong]


@runbook
def varies(context: Context, how: str) -> str:
    """Call a step with another argument each time."""
    number = never_the_same()
    match how:
        case "position":
            context.step(take, number)
        case "keyword":
            context.step(take, "x", at=number)
        case "more":
            context.step(take, "x", rest=number)
        case "set":
            context.step(take, {number, "x"})
        case "deep":
            context.step(take, {"a": [{"b": (1, number)}]})
        case "partial":
            context.step(partial(take, at=number), "x")
        case "type":
            context.step(take, [object(), "x"][number % 2])
    context.prompt("Go on?", go=bool)
    return "?"


@runbook
def keeps_secret(context: Context, token: Annotated[str, Field(secret=True)]) -> None:
    CALLS[token] += 1
    context.step(take, f"{token} {CALLS[token]}")
    context.prompt("Go on?", go=bool)


@runbook
def may_vary(context: Context, how: str) -> list[str]:
    """Call a step with another volatile argument each time."""
    number = never_the_same()
    match how:
        case "volatile":
            done = context.step(take, "x", at=number, volatile=("at",))
        case "volatile by position":
            done = context.step(take, "x", number, volatile=["at"])
        case "volatile of many":
            done = context.step(take, "x", rest=number, volatile={"rest"})
        case "without a form in JSON":
            done = context.step(take, object(), iter([number]))
        case "in another order":
            keys = ["a", "b"] if number % 2 else ["b", "a"]
            done = context.step(take, dict.fromkeys(keys, 1), {frozenset(keys), frozenset("xy")})
        case "by position or name":
            done = context.step(take, "x", "y") if number % 2 else context.step(take, at="y", what="x")
        case "renamed":
            done = context.step([take, take][number % 2], "x", "y", name="take")
    context.prompt("Go on?", go=bool)
    return done[:0]


@runbook
def asks_for_else(context: Context, how: str) -> None:
    number = never_the_same()
    fields: dict[str, Any] = {
        "type": {"go": [bool, str][number % 2]},
        "name": {f"go_{number}": bool},
        "options": {"go": Field(str, options=["a", str(number)])},
        "optional": {"go": [str, str | None][number % 2]},
    }[how]
    context.prompt("Go on?", **fields)
    context.prompt("And on?", go=bool)


@runbook
def asks_the_same(context: Context) -> str:
    """Ask with labels and suggestions that change."""
    number = never_the_same()
    one = Field(int, default=number, name=f"Number {number}", description=f"{number}")
    answer = context.prompt("Go on?", one=one, confirm_text=f"{number}", reviewers=Reviewers())
    context.prompt("And on?", go=bool)
    return str(answer["one"])


@pytest.fixture(scope="module")
def api():
    with served(hands_out, varies, keeps_secret, may_vary, asks_for_else, asks_the_same, encryption_key=KEY) as client:
        yield client


KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def ends(api, session_id):
    """Return the status, and the message of the failure if there is one."""
    run = api.runs(session_id)[0]
    output = api.output(run)
    return run["status"], output.get("error", "") if isinstance(output, dict) else output


def has_ended(api, session_id):
    return api.session(session_id)["status"] in {"Succeeded", "Failed"}


def answered(api, slug, **values):
    """Execute, answer, and return what `ends` does."""
    session_id = api.execute(slug, values)
    assert api.answer(session_id, go=True).status == 200
    api.reaches(session_id, "Failed")
    return ends(api, session_id)


def test_a_result_is_not_handed_to_a_branch_in_another_order(api):
    ended = Counter()
    for _ in range(4):
        FLAGS["wrong"] = []
        session_id = api.execute("hands_out")
        api.answer(session_id, go=True)
        eventually(partial(has_ended, api, session_id))
        status, message = ends(api, session_id)
        ended[status] += 1
        assert FLAGS["wrong"] == []
        assert status == "Succeeded" or "step 'take' had other arguments: what was \"item " in message
    assert ended["Failed"]


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("position", "what"),
        ("keyword", "at"),
        ("more", "rest"),
        ("set", "what"),
        ("deep", "what"),
        ("partial", "at"),
        ("type", "what"),
    ],
)
def test_a_step_with_other_arguments_on_replay_is_named(api, how, name):
    status, message = answered(api, "varies", how=how)
    assert status == "Failed"
    assert "at position 1, step 'take' had other arguments: " in message
    assert f": {name} was " in message
    assert " and is " in message


def test_a_secret_argument_is_compared_and_not_shown(api):
    _, message = answered(api, "keeps_secret", token="hush-hush")
    assert 'step \'take\' had other arguments: what was "******** 1" and is "******** 2"' in message
    assert "hush" not in message


@pytest.mark.parametrize(
    "how",
    [
        "volatile",
        "volatile by position",
        "volatile of many",
        "without a form in JSON",
        "in another order",
        "by position or name",
        "renamed",
    ],
)
def test_arguments_of_the_same_meaning_are_equal(api, how):
    session_id = api.execute("may_vary", {"how": how})
    api.open_prompt(session_id)
    CALLS.clear()
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    assert CALLS["take"] == 0


@pytest.mark.parametrize("how", ["type", "name", "options", "optional"])
def test_an_answer_goes_only_to_the_question_it_was_given_to(api, how):
    session_id = api.execute("asks_for_else", {"how": how})
    prompt = api.open_prompt(session_id)
    (field,) = prompt["schema"]["parameters"]
    values = {field["slug"]: True if field["type"] == "boolean" else "a"}
    api.post("/prompts/submit", {"id": prompt["id"], "values": values})
    api.reaches(session_id, "Failed")
    _, message = ends(api, session_id)
    assert "at position 1, prompt 'Go on?' asked for other fields: go" in message


def test_labels_and_suggestions_of_a_prompt_may_change(api):
    session_id = api.execute("asks_the_same")
    api.answer(session_id, one=7)
    eventually(lambda: len(api.runs(session_id)) == 3)
    api.answer(session_id, go=True)
    api.reaches(session_id, "Succeeded")
    assert api.output(api.runs(session_id)[0]) == "7"


def take_recorded(what):
    """Take something once the begin of this step is in the store."""
    eventually(lambda: FLAGS["store"].runs(RunQuery(task_slug="dies")))
    return take(what)


@runbook
def dies_in_it(context: Context) -> list[str]:
    """Die once in a step, because its end cannot be recorded, and call it with something else afterwards."""
    done = context.step(take_recorded, never_the_same(), name="dies")
    context.prompt("Go on?", go=bool)
    return done


def test_a_step_that_has_not_ended_takes_new_arguments(monkeypatch):
    real, first_token = SqlStore.finish, []
    monkeypatch.setattr(guard, "PATIENCE", 0.0)
    monkeypatch.setattr(store_engine, "RETRY", 0.1)
    fixed = iter([1, 2, 2])
    monkeypatch.setitem(globals(), "never_the_same", lambda: next(fixed))

    def finish(store, run_id, outcome, fencing_token):
        first_token.append(fencing_token)
        if fencing_token == first_token[0]:
            raise KeyError  # which does not pass, so the session is begun again
        return real(store, run_id, outcome, fencing_token)

    monkeypatch.setattr(SqlStore, "finish", finish)
    with started(dies_in_it) as (server, api):
        FLAGS["store"] = server._lifecycle.services.store
        session_id = api.execute("dies_in_it")
        api.answer(session_id, go=True)
        api.reaches(session_id, "Succeeded")
        _root, step, _ = api.runs(session_id)
    assert step["paramValues"] == {"what": 2}


def test_steps_recorded_without_digests_are_not_compared(monkeypatch):
    """Digests of older versions, and of keys that are gone, are not compared."""
    monkeypatch.setattr(Digests, "make", lambda *_: None)
    with served(varies) as api:
        session_id = api.execute("varies", {"how": "position"})
        api.answer(session_id, go=True)
        api.reaches(session_id, "Succeeded")
    monkeypatch.undo()
    old, new = (Digests(Vault([key]), "run1") for key in (KEY, Fernet.generate_key().decode()))
    assert new.differing(old.make({"a": 1}), {"a": 2}) == {}
    assert old.differing(old.make({"a": 1}), {"a": 2}) == {"a": "a"}


def test_equal_values_of_two_sessions_have_different_digests():
    vault = Vault([KEY])
    assert Digests(vault, "run1").make({"a": 1}) != Digests(vault, "run2").make({"a": 1})


def test_names_of_arguments_are_compared_as_well_as_values():
    digests = Digests(Vault([KEY]), "run1")
    made = digests.make({"a": 1, "b": 2, "c": 3}, ("c",))
    assert digests.differing(made, {"a": 1, "b": 2, "c": 4}) == {}
    assert digests.differing(made, {"x": 1, "b": 2, "c": 4}) == {}
    assert digests.differing(made, {"x": 2, "b": 1}) == {"x": "a", "b": "b"}
    assert digests.differing(made, {"a": 1}) == {"b": "b"}
    assert digests.differing(made, {"a": 1, "b": 2, "c": 3, "d": 4}) == {"d": ""}
    assert digests.differing(made, {"a": 1, "b": 3}, ("b",)) == {}


@dataclass
class Seeded:
    what: int
    seed: InitVar[int] = 0


@dataclass
class Priced:
    prices: dict[Any, Any]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Seeded(1, 2), Seeded(2, 2)),
        (Priced({("a", 1): 1}), Priced({("a", 1): 2})),
        ([{"a": Priced({1: 1, "b": 1})}], [{"a": Priced({1: 2, "b": 1})}]),
        ({1: "a", "1": "b"}, {1: "c", "1": "b"}),
        ({None: 1, "a": 1}, {"null": 1, "a": 1}),
    ],
)
def test_members_and_keys_of_every_kind_change_the_digest(one, other):
    assert canonical(one) != canonical(other)


def test_a_keyword_with_the_name_of_a_parameter_hides_none():
    def positional(what, /, **more): ...

    def many(*args, **more): ...

    for function in (positional, many):
        name = next(iter(inspect.signature(function).parameters))
        arguments = StepCall(function, (1,), {name: 2}, name=None, volatile=(), timeout=None, retries=0).arguments
        assert list(arguments) == [name, f"**{name}"]


class Size(Enum):
    SMALL = date(2020, 1, 1)
    LARGE = (1, 2)


@dataclass(frozen=True)
class Order:
    id: int
    tags: frozenset[str] = frozenset()
    price: Decimal = Decimal("1.10")

    @property
    def total(self):
        raise KeyError("never asked")


class Line(msgspec.Struct, frozen=True):
    sizes: set[Any]
    at: date = date(2020, 1, 2)


class Evil:
    def __iter__(self):
        raise KeyError

    @property
    def __class__(self):
        raise ZeroDivisionError


def values():
    """Return values whose form could depend on the process, on the Python or on the order they were made in."""
    return [
        {"b": 1, "a": {"d": 2, "c": 3}},
        {"x", "y", "z", 1, None, (1, "x")},
        {frozenset("ab"), frozenset("xy")},
        {Size.SMALL: {Size.LARGE}, (1, 2): 3, 4: 5, None: 6},
        [Order(1, frozenset("abc")), Line({Order(2), Order(3), "x"})],
        {Order(1): {Order(2): {"x", "y"}}},
        [Path("x"), range(3), Order, object(), (number for number in ()), Evil()],
        [2**100, -0.0, 1e300, float("nan"), Decimal("1.10"), b"x", "\ud800"],
    ]


def test_the_canonical_form_of_values_never_changes():
    """Sessions wait for months, across processes, versions of this package, and of Python."""
    assert [canonical(one).decode() for one in values()] == [
        '{"a": {"c": 3, "d": 2}, "b": 1}',
        '["\\"x\\"", "\\"y\\"", "\\"z\\"", "1", "[1, \\"x\\"]", "null"]',
        '["[\\"\\\\\\"a\\\\\\"\\", \\"\\\\\\"b\\\\\\"\\"]", "[\\"\\\\\\"x\\\\\\"\\", \\"\\\\\\"y\\\\\\"\\"]"]',
        '{"\\u0000\\"2020-01-01\\"": ["[1, 2]"], "\\u00004": 5, "\\u0000[1, 2]": 3, "\\u0000null": 6}',
        (
            '[{"id": 1, "price": "1.10", "tags": ["\\"a\\"", "\\"b\\"", "\\"c\\""]}, {"at": "2020-01-02", "si'
            'zes": ["\\"x\\"", "{\\"id\\": 2, \\"price\\": \\"1.10\\", \\"tags\\": []}", "{\\"id\\": 3, \\"price\\": '
            '\\"1.10\\", \\"tags\\": []}"]}]'
        ),
        (
            '{"\\u0000{\\"id\\": 1, \\"price\\": \\"1.10\\", \\"tags\\": []}": {"\\u0000{\\"id\\": 2, \\"price\\": '
            '\\"1.10\\", \\"tags\\": []}": ["\\"x\\"", "\\"y\\""]}}'
        ),
        '["<PosixPath>", "<range>", "<type>", "<object>", "<generator>", "<Evil>"]',
        '[1267650600228229401496703205376, -0.0, 1e+300, NaN, "1.10", "eA==", "\\ud800"]',
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, json_values)
def test_values_have_one_form_only_if_they_are_equal_in_json(one, other):
    def written(value):
        return json.dumps(value, sort_keys=True)

    assert (canonical(one) == canonical(other)) is (written(one) == written(other))


def test_a_cyclic_or_endless_value_counts_by_its_type():
    ring: list[Any] = []
    ring += [ring, ring]
    keyed: dict[Any, Any] = {}
    keyed[1, 2] = keyed
    assert [canonical(one) for one in (ring, keyed, 10**5000)] == [b"<list>", b"<dict>", b"<int>"]
