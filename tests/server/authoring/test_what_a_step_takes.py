"""Steps and prompts refuse odd calls in words, before anything is recorded."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import pytest

from airplane_runbooks.models import Reviewers
from airplane_runbooks.server import AsyncContext, Context, Field, runbook
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
    """A callable that answers no question about itself."""

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
    "a name": (lambda take: take(greet, name="ada"), TypeError, "a parameter 'name' of its own"),
    "a name and more": (lambda take: take(greet, at=1, name="ada"), TypeError, "functools.partial(function, name=...)"),
    "retries": (lambda take: take(greet, "ada", retries=3), TypeError, "a parameter 'retries' of its own"),
    "volatile": (lambda take: take(greet, "ada", volatile=("at",)), TypeError, "a parameter 'volatile' of its own"),
    "unknown volatile": (lambda take: take(plain, "x", volatile=("when",)), TypeError, "'when', but step 'plain'"),
    "volatile as text": (lambda take: take(plain, "x", volatile="at"), TypeError, 'as in volatile=("at",)'),
    "volatile numbers": (lambda take: take(plain, "x", volatile=(1,)), TypeError, 'as in volatile=("at",)'),
    "a broken name": (lambda take: take(plain, "x", name=BROKEN), ValueError, "the name of a step has a lone"),
    "a number as name": (lambda take: take(plain, "x", name=3), TypeError, "the name of a step must be text, not int"),
    "a generator as volatile": (
        lambda take: take(plain, "x", volatile=(name for name in ["at"])),
        TypeError,
        'as in volatile=("at",)',
    ),
    "no function": (lambda take: take(3, name="x"), TypeError, "a step calls a function, not an object of type int"),
    "a broken keyword": (
        lambda take: take(takes_any, "x", **{BROKEN: "y"}),
        ValueError,
        "the name of an argument of step 'takes_any' has a lone surrogate",
    ),
    "text as retries": (lambda take: take(plain, "x", retries="3"), TypeError, "retries= is a number of further"),
    "no retries": (lambda take: take(plain, "x", retries=None), TypeError, "retries= is a number of further"),
    "fewer retries": (lambda take: take(plain, "x", retries=-1), TypeError, "attempts, 0 or more"),
    "half a retry": (lambda take: take(plain, "x", retries=1.5), TypeError, "attempts, 0 or more"),
    "a huge timeout": (lambda take: take(plain, "x", timeout=10**400), ValueError, "timeout= is a positive number"),
    "an endless timeout": (lambda take: take(plain, "x", timeout=1e300), ValueError, "timeout= is a positive number"),
    "no name": (lambda take: take(Unruly(), "x"), TypeError, "this step needs a name=, for a Unruly has none"),
}

QUESTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "description": ({"description": BROKEN}, ValueError, "the description of a prompt has a lone surrogate"),
    "no description": ({"description": 3}, TypeError, "the description of a prompt must be text, not int"),
    "confirm": ({"confirm_text": BROKEN}, ValueError, "the confirm_text of a prompt has a lone surrogate"),
    "cancel": ({"cancel_text": BROKEN}, ValueError, "in place of character 4"),
    "user": ({"reviewers": Reviewers(users=(BROKEN,))}, ValueError, "a user among the reviewers has a lone surrogate"),
    "group": ({"reviewers": Reviewers(groups=(BROKEN,))}, ValueError, "a group among the reviewers"),
    "label": ({"go": Field(bool, name=BROKEN)}, ValueError, "go: its name has a lone surrogate"),
    "explanation": ({"go": Field(bool, description=BROKEN)}, ValueError, "go: its description has a lone surrogate"),
    "option": ({"go": Field(str, options=["a", BROKEN])}, ValueError, "go: "),
    "regex": ({"go": Field(str, regex=BROKEN)}, ValueError, "go: its regex has a lone surrogate"),
    "default": ({"go": Field(str, default=BROKEN)}, ValueError, "go: "),
    "type as text": ({"confirm_text": str}, TypeError, "confirm_text= of a prompt is for its own str, not type"),
    "field as text": ({"cancel_text": Field(str)}, TypeError, "cancel_text= of a prompt is for its own str, not Field"),
    "type as reviewers": ({"reviewers": list[str]}, TypeError, "a field needs another name"),
    "type as limit": ({"expires_in": timedelta}, TypeError, "expires_in= of a prompt is for its own timedelta"),
    "seconds as limit": ({"expires_in": 3}, TypeError, "not int"),
    "one reviewer": ({"reviewers": Reviewers(users="ada")}, TypeError, "the users among the reviewers are several"),
    "endless": ({"expires_in": timedelta.max}, ValueError, "at most 1,000 years"),
    "no time": ({"expires_in": timedelta(0)}, ValueError, "must be positive"),
}


def asks(prompt, how):
    options = dict(QUESTIONS[how][0])
    return prompt(options.pop("description", "Go on?"), **options)


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
    except Exception as problem:  # noqa: BLE001 - whatever it is
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@runbook
async def refuses_async(context: AsyncContext, how: str) -> str:
    try:
        await REFUSED[how][0](context.step)
    except Exception as problem:  # noqa: BLE001 - whatever it is
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@runbook
def does_not_ask(context: Context, how: str) -> str:
    try:
        asks(context.prompt, how)
    except Exception as problem:  # noqa: BLE001 - whatever it is
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@runbook
async def does_not_ask_async(context: AsyncContext, how: str) -> str:
    try:
        await asks(context.prompt, how)
    except Exception as problem:  # noqa: BLE001 - whatever it is
        return f"{type(problem).__name__}: {problem}"
    return "nothing"


@pytest.fixture(scope="module")
def api():
    with served(takes, takes_async, refuses, refuses_async, does_not_ask, does_not_ask_async) as client:
        yield client


@pytest.mark.parametrize("kind", ["", "_async"])
@pytest.mark.parametrize("how", TAKEN)
def test_a_function_gets_what_was_meant_for_it(api, how, kind):
    _, name, output = TAKEN[how]
    session_id = api.execute(f"takes{kind}", {"how": how})
    api.reaches(session_id, "Succeeded")
    whole, step = api.runs(session_id)
    assert (step["taskName"], api.output(whole)) == (name, output)


@pytest.mark.parametrize("kind", ["", "_async"])
@pytest.mark.parametrize("how", REFUSED)
def test_what_a_step_cannot_take_is_refused_in_words(api, how, kind):
    refused(api, f"refuses{kind}", how, *REFUSED[how][1:])


@pytest.mark.parametrize("kind", ["", "_async"])
@pytest.mark.parametrize("how", QUESTIONS)
def test_what_cannot_be_asked_is_refused_in_words(api, how, kind):
    refused(api, f"does_not_ask{kind}", how, *QUESTIONS[how][1:])


def refused(api, slug, how, kind, message):
    session_id = api.execute(slug, {"how": how})
    api.reaches(session_id, "Succeeded")
    (whole,) = api.runs(session_id)  # and nothing beside it
    output = api.output(whole)
    assert output.startswith(f"{kind.__name__}: ")
    assert message in output


def test_texts_of_runbooks_themselves_are_checked_where_they_are_written():
    with pytest.raises(ValueError, match="broken: its name has a lone surrogate"):
        runbook(slug="broken", name=BROKEN)(lambda context: None)

    def labelled(context, what: Annotated[str, Field(description=BROKEN)]) -> None: ...

    with pytest.raises(ValueError, match="what: its description has a lone surrogate"):
        runbook(labelled)


def test_a_text_of_a_subclass_becomes_plain_text():
    from airplane_runbooks.server.storage.encoding import text

    assert type(text(Odd("x"), "it")) is str
