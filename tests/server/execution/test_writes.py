"""Writes that wait: their order, their transactions, and what a failure of the store does to them."""

from __future__ import annotations

import os
import threading

import pytest

from airplane_runbooks.server.execution import writes as module
from airplane_runbooks.server.execution.flusher import Flusher
from airplane_runbooks.server.execution.signals import ServerFailure
from airplane_runbooks.server.execution.writes import DeferredWrites, Write
from tests.support.servers import eventually


class Store:
    """A store whose transactions are lists of what was done in each."""

    def __init__(self):
        self.transactions = []
        self.failures = 0
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def transact(self, work):
        self.entered.set()
        assert self.free.wait(30)
        if self.failures:
            self.failures -= 1
            raise ServerFailure("away", is_temporary=True)
        self.open = []
        result = work(self)
        self.transactions.append(self.open)
        return result

    def do(self, what, answer=True):
        self.open.append(what)
        return answer


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Leave the writes alone for as long as a test may take."""
    for name in ("BEGIN_DELAY", "RESULT_DELAY", "FRESH"):
        monkeypatch.setattr(module, name, 3600.0)


@pytest.fixture
def flusher():
    flusher = Flusher()
    yield flusher
    flusher.close()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def told():
    return []


@pytest.fixture
def writes(store, flusher):
    return DeferredWrites(store, flusher)


@pytest.fixture
def add(writes, told):
    def add(what, make=Write.of_result, answer=True):
        writes.add(make(lambda store: store.do(what, answer), lambda accepted: told.append((what, accepted))))

    return add


def test_what_waits_is_written_in_order_in_one_transaction(store, writes, add, told):
    add("begin", Write.of_begin)
    add("end")
    assert writes.flush_with(lambda store: store.do("last", "result")) == "result"
    assert store.transactions == [["begin", "end", "last"]]
    assert told == [("begin", True), ("end", True)]
    writes.flush()
    assert store.transactions == [["begin", "end", "last"]]


def test_a_failure_of_the_store_leaves_the_writes_waiting(store, writes, add, told):
    add("one")
    store.failures = 1
    with pytest.raises(ServerFailure):
        writes.flush()
    assert told == []
    add("two")
    writes.flush()
    assert store.transactions == [["one", "two"]]
    assert told == [("one", True), ("two", True)]


def test_only_results_hold_up_the_next_step(writes, add):
    assert not writes.come_first
    add("begin", Write.of_begin)
    assert not writes.come_first
    add("end")
    assert writes.come_first
    writes.flush()
    assert not writes.come_first


def test_an_execution_that_has_not_written_for_long_asks_first(monkeypatch, writes, add):
    monkeypatch.setattr(module, "FRESH", -1.0)
    assert writes.come_first
    add("begin", Write.of_begin)
    assert writes.come_first


def test_a_refused_write_confirms_nothing(monkeypatch, writes, add, told):
    confirmed = writes._confirmed
    add("end", answer=False)
    writes.flush()
    assert told == [("end", False)]
    assert writes._confirmed == confirmed


def test_the_flusher_writes_what_is_due(monkeypatch, store, add, told):
    add("early", Write.of_begin)
    monkeypatch.setattr(module, "RESULT_DELAY", 0.0)
    add("late")
    eventually(lambda: told == [("early", True), ("late", True)])
    assert store.transactions == [["early", "late"]]


def test_the_flusher_tries_again_after_a_failure(monkeypatch, store, add, told):
    monkeypatch.setattr("airplane_runbooks.server.execution.flusher._RETRY", 0.0)
    monkeypatch.setattr(module, "RESULT_DELAY", 0.0)
    store.failures = 3
    add("end")
    eventually(lambda: told == [("end", True)])
    assert store.failures == 0
    add("another")
    eventually(lambda: told[1:] == [("another", True)])


def test_a_write_that_comes_during_a_flush_waits_for_the_next(monkeypatch, store, writes, add, told):
    store.free.clear()
    monkeypatch.setattr(module, "RESULT_DELAY", 0.0)
    add("first")
    assert store.entered.wait(30)
    add("second")
    store.free.set()
    writes.flush()
    eventually(lambda: told == [("first", True), ("second", True)])
    assert store.transactions == [["first"], ["second"]]


def test_a_lack_of_threads_leaves_the_writes_to_their_execution(monkeypatch, store, writes, add, caplog):
    real = threading.Thread.start

    def start(thread):
        if thread.name == "runbook-flusher":
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    add("end")
    writes.flush()
    assert store.transactions == [["end"]]
    assert "may be shown late" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_forked_during_a_flush_waits_for_no_parent(monkeypatch, store, writes, add):
    store.free.clear()
    monkeypatch.setattr(module, "RESULT_DELAY", 0.0)
    add("end")
    assert store.entered.wait(30)
    if (child := os.fork()) == 0:
        store.free.set()
        store.failures = 1
        try:
            writes.flush()
        except ServerFailure:
            os._exit(7)
        os._exit(1)
    store.free.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
