from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from airplane_runbooks.server import Context, RunbookServer, events, runbook
from airplane_runbooks.server.observers import dispatch
from airplane_runbooks.server.observers.dispatch import Dispatcher
from tests.support.observers import Hanging, Raising, Recorder
from tests.support.servers import eventually, served

EVENT = events.SignedOut(caller="usr1")
SECRET = "tkn_secret"
WORD: ContextVar[str] = ContextVar("word", default="none")


def find() -> str:
    return WORD.get()


@runbook
def asks(context: Context) -> str:
    """Take a step, ask, and take another one."""
    context.step(find)
    context.prompt("Go on?", go=bool)
    return context.step(find, name="again")


class Mute:
    """Nothing that an observer has."""


class Rubbish(Recorder):
    """An observer that returns no context managers."""

    def enclose(self, event, /):
        return "rubbish"


class Swallowing(Recorder):
    """An observer whose context managers suppress exceptions, and raise some of their own."""

    def __init__(self, problem=None):
        super().__init__()
        self.problem = problem
        self.seen = []

    def enclose(self, event, /):
        @contextmanager
        def manager():
            try:
                yield
            except BaseException as problem:  # noqa: BLE001 - to be suppressed
                self.seen.append(type(problem))
            if self.problem is not None:
                raise self.problem

        return manager()


class Speaking(Recorder):
    """An observer that sets a context variable around what it encloses."""

    def enclose(self, event, /):
        @contextmanager
        def manager():
            token = WORD.set("enclosed")
            try:
                yield
            finally:
                WORD.reset(token)

        return manager() if isinstance(event, events.AttemptStarted) else None


def complaints(caplog):
    return [record.getMessage() for record in caplog.records if record.name == dispatch.__name__]


@pytest.mark.parametrize("observer", [Raising, Mute, Rubbish, Hanging, lambda: Swallowing(ValueError(SECRET))])
def test_a_broken_observer_changes_no_result(observer, caplog):
    broken, recorder = observer(), Recorder()
    with served(asks, observers=[broken, recorder]) as api:
        session_id = api.execute("asks")
        assert api.answer(session_id, go=True).status == 200
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == "none"
        eventually(lambda: recorder.names()[-2:] == ["SessionEnded", "SegmentEnded"])
        if isinstance(broken, Hanging):
            broken.released.set()
    assert len(complaints(caplog)) == (not isinstance(broken, Hanging))
    assert all(type(broken).__qualname__ in line for line in complaints(caplog))
    assert SECRET not in caplog.text


def test_a_hanging_observer_delays_a_close_by_seconds_at_most():
    hanging = Hanging()
    with RunbookServer([asks], observers=[hanging]) as server:
        server._lifecycle.services.emitter.signed_out("usr1")
        begun = time.monotonic()
    assert time.monotonic() - begun < 60
    hanging.released.set()


def test_an_observer_that_is_too_slow_misses_events(monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "MOST_WAITING", 3)
    hanging, recorder = Hanging(), Recorder()
    dispatcher = Dispatcher([recorder], [hanging])
    for _ in range(10):
        dispatcher.emit(EVENT)
    assert len(recorder.events) == 10
    assert complaints(caplog) == ["the observer tests.support.observers.Hanging is too slow and misses events"]
    hanging.released.set()
    dispatcher.close(5)


def test_an_observer_handles_events_in_their_order_on_one_thread():
    threads, seen = set(), []

    class Noting:
        def observe(self, event, /):
            threads.add(threading.get_ident())
            seen.append(event.caller)

    dispatcher = Dispatcher([], [Noting()])
    for number in range(100):
        dispatcher.emit(events.SignedOut(caller=str(number)))
    dispatcher.close(10)
    assert seen == list(map(str, range(100)))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_an_observer_sees_the_context_of_the_event():
    words = []

    class Listening:
        def observe(self, event, /):
            words.append(WORD.get())

    dispatcher = Dispatcher([], [Listening()])
    token = WORD.set("here")
    dispatcher.emit(EVENT)
    WORD.reset(token)
    dispatcher.close(10)
    assert words == ["here"]


def test_an_enclosing_observer_acts_around_each_attempt():
    with served(asks, observers=[Speaking()]) as api:
        session_id = api.execute("asks")
        api.answer(session_id, go=True)
        api.reaches(session_id, "Succeeded")
        assert api.output(api.runs(session_id)[0]) == "enclosed"


@pytest.mark.parametrize("problem", [KeyError, asyncio.CancelledError, SystemExit])
def test_an_enclosing_observer_suppresses_no_exception(problem):
    swallowing, event = Swallowing(), events.RequestReceived(method="GET", route="/", headers={})
    with pytest.raises(problem), Dispatcher([swallowing]).enclose(event):
        raise problem
    assert swallowing.seen == [problem]


def test_a_closed_dispatcher_delivers_nothing_to_its_observers():
    recorder = Recorder()
    dispatcher = Dispatcher([], [recorder])
    dispatcher.emit(EVENT)
    dispatcher.close(10)
    dispatcher.emit(EVENT)
    dispatcher.close(10)
    assert recorder.events == [EVENT]


def test_an_observer_without_a_thread_is_given_its_events_later(monkeypatch, caplog):
    def no_thread(self):
        raise RuntimeError(SECRET)

    recorder = Recorder()
    dispatcher = Dispatcher([], [recorder])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        dispatcher.emit(EVENT)
    assert recorder.events == []
    dispatcher.emit(EVENT)
    dispatcher.close(10)
    assert recorder.events == [EVENT, EVENT]
    assert SECRET not in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
