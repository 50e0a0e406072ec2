"""Calls of steps: functions get their arguments, and odd calls are refused before anything is recorded."""

from __future__ import annotations

from functools import partial

import pytest

from airplane_runbooks.server import AsyncContext, Context, runbook
from tests.support.servers import served

BROKEN = "caf\udce9"


def greet(name, retries=0, volatile="", at=None):
    return f"{name} {retries} {volatile} {at}"


def plain(what: str, *, at: str = "") -> str:
    return what + at


def takes_any(what: str, **more: str) -> str:
    return what + str(sorted(more))


class Odd(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise KeyError("never asked")


class Unruly:
    """A callable that raises when asked for its attributes."""

    def __call__(self, what):
        return what

    def __getattr__(self, name):
        raise ZeroDivisionError(name)

    @property
    def __name__(self):
        raise ZeroDivisionError

    @property
    def __signature__(self):
        raise ZeroDivisionError


TAKEN = {
    "by position": (lambda take: take(greet, "ada"), "greet", "ada 0  None"),
    "in a partial": (lambda take: take(partial(greet, name="ada")), "greet", "ada 0  None"),
    "in two partials": (
        lambda take: take(partial(partial(greet, "ada"), retries=3), name="x"),
        "x",
        "ada 3  None",
    ),
    "with a name": (lambda take: take(greet, "ada", name="greets"), "greets", "ada 0  None"),
    "with a name that is odd": (lambda take: take(greet, "ada", name=Odd("greets")), "greets", "ada 0  None"),
    "with all by position": (
        lambda take: take(greet, "ada", 1, "2", retries=1, volatile=("at",)),
        "greet",
        "ada 1 2 None",
    ),
    "by any keyword": (lambda take: take(takes_any, "x", at="y", volatile=("at",)), "takes_any", "x['at']"),
    "unruly": (lambda take: take(Unruly(), "x", name="unruly"), "unruly", "x"),
}

REFUSED = {
    "a name": (lambda take: take(greet, name="ada"), TypeError, "has a parameter 'name' too"),
    "a name and more": (lambda take: take(greet, at=1, name="ada"), TypeError, "functools.partial(function, name=...)"),
    "retries": (lambda take: take(greet, "ada", retries=3), TypeError, "has a parameter 'retries' too"),
    "volatile": (lambda take: take(greet, "ada", volatile=("at",)), TypeError, "has a parameter 'volatile' too"),
    "unknown volatile": (
        lambda take: take(plain, "x", volatile=("when",)),
        TypeError,
        "'when', which the function",
    ),
    "volatile as text": (lambda take: take(plain, "x", volatile="at"), TypeError, 'such as volatile=("at",)'),
    "volatile numbers": (lambda take: take(plain, "x", volatile=(1,)), TypeError, 'such as volatile=("at",)'),
    "a broken name": (lambda take: take(plain, "x", name=BROKEN), ValueError, "the name of a step has a lone"),
    "a number as name": (lambda take: take(plain, "x", name=3), TypeError, "the name of a step must be text, not int"),
    "a generator as volatile": (
        lambda take: take(plain, "x", volatile=(name for name in ["at"])),
        TypeError,
        'such as volatile=("at",)',
    ),
    "no function": (
        lambda take: take(3, name="x"),
        TypeError,
        "a step needs a function to call, not",
    ),
    "a broken keyword": (
        lambda take: take(takes_any, "x", **{BROKEN: "y"}),
        ValueError,
        "the name of an argument of step 'takes_any' has a lone surrogate",
    ),
    "text as retries": (lambda take: take(plain, "x", retries="3"), TypeError, "retries= must be an integer"),
    "no retries": (lambda take: take(plain, "x", retries=None), TypeError, "retries= must be an integer"),
    "fewer retries": (lambda take: take(plain, "x", retries=-1), TypeError, "must be an integer, 0 or more"),
    "half a retry": (lambda take: take(plain, "x", retries=1.5), TypeError, "must be an integer, 0 or more"),
    "a huge timeout": (
        lambda take: take(plain, "x", timeout=10**400),
        ValueError,
        "timeout= must be a positive",
    ),
    "an endless timeout": (
        lambda take: take(plain, "x", timeout=1e300),
        ValueError,
        "timeout= must be a positive",
    ),
    "no name": (lambda take: take(Unruly(), "x"), TypeError, "pass name= to this step: an object of type Unruly"),
}


@runbook
def takes(context: Context, how: str) -> str:
    return TAKEN[how][0](context.step)


@runbook
async def takes_async(context: AsyncContext, how: str) -> str:
    return await TAKEN[how][0](context.step)


@runbook
def refuses(context: Context, how: str) -> str:
    try:
        REFUSED[how][0](context.step)
    except Exception as problem:  # noqa: BLE001 - its class is part of the answer
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@runbook
async def refuses_async(context: AsyncContext, how: str) -> str:
    try:
        await REFUSED[how][0](context.step)
    except Exception as problem:  # noqa: BLE001 - its class is part of the answer
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@pytest.fixture(scope="module")
def api():
    with served(takes, takes_async, refuses, refuses_async) as client:
        yield client


@pytest.mark.parametrize("kind", ["", "_async"])
@pytest.mark.parametrize("how", TAKEN)
def test_the_function_of_a_step_gets_its_arguments(api, how, kind):
    _, name, output = TAKEN[how]
    session_id = api.execute(f"takes{kind}", {"how": how})
    api.reaches(session_id, "Succeeded")
    whole, step = api.runs(session_id)
    assert (step["taskName"], api.output(whole)) == (name, output)


@pytest.mark.parametrize("kind", ["", "_async"])
@pytest.mark.parametrize("how", REFUSED)
def test_a_step_refuses_odd_arguments_and_says_why(api, how, kind):
    refused(api, f"refuses{kind}", how, *REFUSED[how][1:])


def refused(api, slug, how, kind, message):
    session_id = api.execute(slug, {"how": how})
    api.reaches(session_id, "Succeeded")
    (whole,) = api.runs(session_id)  # and nothing beside it
    output = api.output(whole)
    assert output.startswith(f"{kind.__name__}: ")
    assert message in output


def test_a_string_of_a_subclass_becomes_a_plain_string():
    from airplane_runbooks.server.storage.encoding import text

    assert type(text(Odd("x"), "it")) is str
