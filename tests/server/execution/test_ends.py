"""Runbooks, steps and tasks end with a readable message, even for odd exceptions and results."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import UserList
from concurrent import futures
from contextlib import suppress
from datetime import datetime, tzinfo
from functools import partial

import pytest

from airplane_runbooks.server import AsyncContext, Context, PromptCancelled, StepFailed, runbook, task
from airplane_runbooks.server.logs import class_name, describe, describe_authors, kind_of, message_of, original, trace
from tests.support.servers import eventually, served


class Mute(Exception):
    def __str__(self):
        raise ZeroDivisionError


class Wordless(Exception):
    def __str__(self):
        return 3  # noqa: PLE0307 - that is the test


class Endless(Exception):
    def __str__(self):
        return str(self)


class Leaving(Exception):
    def __str__(self):
        raise SystemExit(7)


class Odd(str):
    __slots__ = ()

    def __str__(self):
        raise KeyError

    def encode(self, *_):
        raise KeyError

    def replace(self, *_):
        raise KeyError


class Oddly(Exception):
    def __str__(self):
        return Odd("odd")


class Nameless(type):
    def __getattribute__(cls, name):
        if name in {"__name__", "__qualname__", "__module__"}:
            raise KeyError
        return super().__getattribute__(name)

    def __repr__(cls):
        raise KeyError


class Disguised(Exception, metaclass=Nameless):
    @property
    def __class__(self):
        raise KeyError

    def __repr__(self):
        raise KeyError


def circular():
    one, other = KeyError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    return one


def in_a_coroutine():
    problem = RuntimeError("coroutine raised StopIteration")
    problem.__cause__ = StopIteration("through a coroutine")
    return problem


NO_MESSAGE = "(no message: asked for it, the exception raised {})"

RAISED = {
    "stop": (lambda: StopIteration("s"), "StopIteration", "s"),
    "stop a coroutine": (in_a_coroutine, "StopIteration", "through a coroutine"),
    "stop async": (lambda: StopAsyncIteration("s"), "StopAsyncIteration", "s"),
    "generator": (GeneratorExit, "GeneratorExit", "GeneratorExit"),
    "cancelled": (asyncio.CancelledError, "CancelledError", "CancelledError"),
    "cancelled future": (futures.CancelledError, "CancelledError", "CancelledError"),
    "invalid state": (lambda: asyncio.InvalidStateError("i"), "InvalidStateError", "i"),
    "exit": (lambda: SystemExit(3), "SystemExit", "3"),
    "interrupt": (KeyboardInterrupt, "KeyboardInterrupt", "KeyboardInterrupt"),
    "timeout": (asyncio.TimeoutError, "TimeoutError", "TimeoutError"),
    "mute": (Mute, "Mute", NO_MESSAGE.format("ZeroDivisionError")),
    "wordless": (Wordless, "Wordless", NO_MESSAGE.format("TypeError")),
    "endless": (Endless, "Endless", NO_MESSAGE.format("RecursionError")),
    "leaving": (Leaving, "Leaving", NO_MESSAGE.format("SystemExit")),
    "oddly": (Oddly, "Oddly", "odd"),
    "disguised": (lambda: Disguised("d"), "Disguised", "d"),
    "huge": (lambda: KeyError.__base__("x" * 1_000_000), "LookupError", "x" * 10_000 + "... (1000000 characters)"),
    "broken": (lambda: LookupError("caf\udce9"), "LookupError", "caf?"),
    "nul": (lambda: LookupError("a\0b"), "LookupError", "a\0b"),
    "group": (
        lambda: ExceptionGroup("many", [Mute(), ExceptionGroup("more", [Wordless()])]),
        "ExceptionGroup",
        "many (2 sub-exceptions)",
    ),
    "mute group": (lambda: BaseExceptionGroup("all", [SystemExit(1)]), "BaseExceptionGroup", "all (1 sub-exception)"),
    "circular": (circular, "KeyError", "'one'"),
}


def fails(what):
    problem = RAISED[what][0]()
    raise problem


async def fails_on_the_loop(what):
    await asyncio.sleep(0)
    problem = RAISED[what][0]()
    raise problem


@runbook
def step(context: Context, what: str) -> None:
    context.step(fails, what)


@runbook
def parallel(context: Context, what: str) -> None:
    context.parallel(lambda: context.step(fails, what))


@runbook
async def step_on_a_thread(context: AsyncContext, what: str) -> None:
    await context.step(fails, what)


@runbook
async def step_on_the_loop(context: AsyncContext, what: str) -> None:
    await asyncio.gather(context.step(fails_on_the_loop, what, name="fails"))


@runbook
def body(context: Context, what: str) -> None:
    fails(what)


@runbook
def branch(context: Context, what: str) -> None:
    context.parallel(partial(fails, what))


@runbook
async def body_on_the_loop(context: AsyncContext, what: str) -> None:
    await fails_on_the_loop(what)


@task
def alone(what: str) -> None:
    fails(what)


@task
async def alone_on_the_loop(what: str) -> None:
    await fails_on_the_loop(what)


class Iterates(UserList):
    def __iter__(self):
        raise KeyError


class Nowhere(tzinfo):
    def utcoffset(self, _):
        raise KeyError("hush")


class Broken:
    def __repr__(self):
        raise KeyError("hush")


RETURNED = {
    "iterates": Iterates,
    "nowhere": lambda: datetime(2026, 1, 1, tzinfo=Nowhere()),
    "broken": Broken,
    "disguised": lambda: Disguised("d"),
    "class": lambda: Disguised,
    "generator": lambda: (number for number in ()),
}


def make(what):
    return RETURNED[what]()


@runbook
def returns(context: Context, what: str) -> str:
    with suppress(StepFailed):
        context.step(make, what)
    return make(what)


@runbook
def takes(context: Context, what: str) -> str:
    """Pass on an opaque value, and go on after a prompt."""
    return context.step(lambda *_: "taken", make(what), [make(what)], {"a": make(what)}, name="takes")


@runbook
def gives_up(context: Context) -> None:
    raise PromptCancelled(Broken())


@runbook
def raises_in_finally(context: Context) -> None:
    try:
        context.step(fails, "mute")
    finally:
        fails("disguised")


def explodes():
    raise LookupError("hush")


@runbook
def explodes_itself(context: Context) -> None:
    explodes()


@runbook
def explodes_in_a_step(context: Context) -> None:
    context.step(explodes)


@runbook
def explodes_with_a_limit(context: Context) -> None:
    context.step(explodes, timeout=60)


@runbook
async def explodes_on_a_thread(context: AsyncContext) -> None:
    await context.step(explodes)


@runbook
async def explodes_in_a_branch(context: AsyncContext) -> None:
    await asyncio.gather(context.step(explodes), context.step(explodes))


@task
def explodes_alone() -> None:
    explodes()


def reads(text):
    return json.loads(text)


def explodes_below():
    return reads("hush")


@runbook
def explodes_in_a_library(context: Context) -> None:
    context.step(explodes_below)


EXPLOSIONS = [explodes_in_a_step, explodes_with_a_limit, explodes_on_a_thread, explodes_in_a_branch]


@pytest.fixture(scope="module")
def api():
    books = (step, parallel, step_on_a_thread, step_on_the_loop, body, branch, body_on_the_loop)
    more = (returns, takes, gives_up, raises_in_finally, explodes_itself, explodes_in_a_library, *EXPLOSIONS)
    with served(*books, *more, tasks=[alone, alone_on_the_loop, explodes_alone]) as client:
        yield client


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("where", ["step", "parallel", "step_on_a_thread", "step_on_the_loop"])
def test_a_step_fails_with_any_exception_that_it_raises(api, where, what):
    _, kind, message = RAISED[what]
    session_id = api.execute(where, {"what": what})
    api.reaches(session_id, "Failed")
    whole, failed = api.runs(session_id)
    assert failed["status"] == "Failed"
    assert api.output(failed) == {"error": message}
    assert api.output(whole)["error"][:9000] == f"step 'fails' failed: {kind}: {message}"[:9000]


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("where", ["body", "branch", "body_on_the_loop"])
def test_a_runbook_fails_with_any_exception_that_it_raises(api, where, what, caplog):
    assert api.finishes(where, {"what": what}, "Failed") == {"error": RAISED[what][2]}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(f"failed: {RAISED[what][1]} at " in line for line in said)
    assert len(said) <= 1


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("where", ["alone", "alone_on_the_loop"])
def test_a_task_fails_with_any_exception_that_it_raises(api, where, what):
    run_id = api.post("/tasks/execute", {"slug": where, "paramValues": {"what": what}}).json["runID"]
    eventually(lambda: api.get("/runs/get", id=run_id).json["status"] == "Failed")
    assert api.get("/runs/getOutputs", id=run_id).json["output"] == {"error": RAISED[what][2]}


def place_in(function, line):
    """Return a line of this file: this many below the decorators of a function."""
    return f"{__file__}:{function.__code__.co_firstlineno + line}"


def logged_failures(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and "failed" in one.msg]


@pytest.mark.parametrize("book", EXPLOSIONS, ids=lambda book: book.slug)
def test_the_log_of_a_failed_step_names_its_function(api, book, caplog):
    """It also names the place in the runbook that has called the step."""
    api.finishes(book.slug, status="Failed")
    (said,) = logged_failures(caplog)
    _, _, places = said.partition("\n")[0].partition(" failed: ")
    assert places == f"StepFailed at {place_in(book.function, 2)}, from LookupError at {place_in(explodes, 1)}"


def test_the_log_of_a_failed_runbook_names_its_function(api, caplog):
    api.finishes("explodes_itself", status="Failed")
    (said,) = logged_failures(caplog)
    _, _, found = said.partition(" failed: ")
    assert found.splitlines() == [
        f"LookupError at {place_in(explodes, 1)}",
        "  LookupError",
        f"    {place_in(explodes_itself.function, 2)} in explodes_itself",
        f"    {place_in(explodes, 1)} in explodes",
    ]


def test_the_log_of_a_failed_step_has_its_frames(api, caplog):
    api.finishes("explodes_in_a_library", status="Failed")
    (said,) = logged_failures(caplog)
    _, _, found = said.partition(" failed: ")
    book = place_in(explodes_in_a_library.function, 2)
    first, *frames = found.splitlines()
    assert first == f"StepFailed at {book}, from JSONDecodeError at {place_in(reads, 1)}"
    assert frames[:5] == [
        "  StepFailed",
        f"    {book} in explodes_in_a_library",
        "  after JSONDecodeError",
        f"    {place_in(explodes_below, 1)} in explodes_below",
        f"    {place_in(reads, 1)} in reads",
    ]
    assert frames[-1].endswith(" in JSONDecoder.raw_decode")
    assert "hush" not in said


def test_the_log_of_a_failed_task_names_its_function(api, caplog):
    api.post("/tasks/execute", {"slug": "explodes_alone", "paramValues": {}})
    eventually(lambda: logged_failures(caplog))
    (said,) = logged_failures(caplog)
    assert f" failed: LookupError at {place_in(explodes, 1)}\n" in said


def test_code_of_no_module_is_that_of_an_author():
    with pytest.raises(ZeroDivisionError) as raised:
        exec(compile("1 / 0", "made.py", "exec"), {"__name__": None})
    assert describe_authors(raised.value) == "ZeroDivisionError at made.py:1"
    assert describe_authors(ZeroDivisionError()) == "ZeroDivisionError"


def recurses(depth):
    return recurses(depth - 1) if depth else 1 / 0


def test_a_deep_trace_shows_its_first_and_last_frames():
    with pytest.raises(ZeroDivisionError) as raised:
        recurses(99)
    _, *shown = trace(raised.value).splitlines()
    assert len(shown) == 26
    assert shown[5] == "  [76 frames are left out here]"  # of 101: this test's own is one of them


def test_a_trace_of_causes_in_a_circle_has_an_end():
    first, second = KeyError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    for problem in (first, second):
        with pytest.raises(type(problem)):
            raise problem
    assert [line for line in trace(first).splitlines() if "Error" in line][:3] == [
        "KeyError",
        "after ValueError",
        "after KeyError",
    ]


@pytest.mark.parametrize("hides", [False, True])
def test_a_trace_has_what_was_handled_unless_it_is_hidden(hides):
    problem = ValueError()
    with pytest.raises(ZeroDivisionError) as handled:
        recurses(0)
    problem.__context__ = handled.value
    problem.__suppress_context__ = hides
    with pytest.raises(ValueError) as raised:
        raise problem
    assert ("after ZeroDivisionError" in trace(raised.value)) is not hides


@pytest.mark.parametrize("what", RETURNED)
def test_an_object_that_cannot_be_read_is_refused_as_a_result(api, what):
    message = api.finishes("returns", {"what": what}, "Failed")["error"]
    assert message.startswith("the result cannot be written as JSON: ")
    assert "hush" not in message


@pytest.mark.parametrize("what", RETURNED)
def test_an_object_that_cannot_be_read_may_be_an_argument(api, what):
    assert api.finishes("takes", {"what": what}) == "taken"


def test_a_cancellation_without_a_message_cancels_the_session(api):
    assert api.finishes("gives_up", status="Cancelled") == {"error": NO_MESSAGE.format("KeyError")}


def test_an_exception_raised_in_finally_is_the_failure(api):
    assert api.finishes("raises_in_finally", status="Failed") == {"error": "d"}


def test_a_session_ends_though_a_log_handler_raises(api, monkeypatch):
    monkeypatch.setattr(logging.Logger, "handle", lambda *_: 1 / 0)
    assert api.finishes("body", {"what": "timeout"}, "Failed") == {"error": "TimeoutError"}


def test_secrets_are_masked_before_a_message_is_cut():
    secret = "s" * 30
    said = message_of(ValueError("x" * 9_990 + secret), lambda text: text.replace(secret, "********"))
    assert said == "x" * 9_990 + "********"


def test_a_logged_exception_shows_its_place_and_no_message():
    with pytest.raises(Mute) as raised:
        fails("mute")
    assert describe(raised.value).startswith("Mute at ")
    assert describe(raised.value).rpartition(":")[0].endswith("test_ends.py")
    assert describe(Disguised("d")) == "Disguised"
    assert class_name(type("x" * 1000, (), {})) == "x" * 200


def test_only_a_replaced_stop_iteration_is_looked_through():
    for problem in (RuntimeError("coroutine raised StopIteration"), RuntimeError("else"), Disguised()):
        assert original(problem) is problem
    problem = RuntimeError("else")
    problem.__cause__ = StopIteration()
    assert original(problem) is problem
    assert kind_of(in_a_coroutine()) == "StopIteration"
