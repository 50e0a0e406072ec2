"""A lapsed lease is taken over only by servers to which the database has answered for as long as a lease lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airplane_runbooks.server.storage import transitions
from airplane_runbooks.server.storage.contact import LONGEST_GAP, Contact
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.records import Outcome, Run, RunKind
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.transitions import LEASE

LONG = LEASE.total_seconds()


class Server:
    """A server that asks the database every two seconds, by a clock that is moved by hand."""

    def __init__(self):
        self.time = 100.0
        self.ahead = 1_700_000_000.0
        self.contact = Contact(lambda: self.time)

    def ask(self, seconds):
        """Ask for some seconds."""
        for _ in range(int(seconds / 2)):
            self.time += 2
            self.contact.note(self.time, self.time + self.ahead)


@pytest.fixture
def server():
    return Server()


def test_a_contact_is_proven_once_it_has_lasted_for_a_lease(server):
    assert not server.contact.is_proven
    server.ask(LONG)
    assert not server.contact.is_proven
    server.ask(2)
    assert server.contact.is_proven


def test_an_outage_that_was_noticed_begins_the_contact_anew(server):
    server.ask(2 * LONG)
    server.contact.lose()
    assert not server.contact.is_proven
    server.ask(LONG)
    assert not server.contact.is_proven
    server.ask(2)
    assert server.contact.is_proven


def test_a_server_that_was_frozen_begins_its_contact_anew(server):
    server.ask(2 * LONG)
    server.time += LONGEST_GAP + 1
    assert not server.contact.is_proven  # before it has asked again
    server.ask(LONG)
    assert not server.contact.is_proven
    server.ask(2)
    assert server.contact.is_proven


@pytest.mark.parametrize("seconds", [30, -30])
def test_a_clock_that_was_set_begins_the_contact_anew(server, seconds):
    server.ask(2 * LONG)
    server.ahead += seconds
    server.ask(2)
    assert not server.contact.is_proven
    server.ask(LONG)
    assert server.contact.is_proven


def test_a_slow_answer_does_not_end_a_contact(server):
    server.ask(2 * LONG)
    server.contact.note(server.time, server.time + server.ahead + 1.5)
    assert server.contact.is_proven


@pytest.fixture
def stores():
    """A store whose server may not take over, one whose server may, and a root run that the first has begun."""
    database = Database("sqlite://")
    cautious, certain = SqlStore(database, may_take_over=lambda: False), SqlStore(database)
    cautious.add(Run(id="r", kind=RunKind.TASK, task_id="t", slug="a", name="A", env_slug="prod"))
    assert cautious.begin("r", 1) is not None
    yield cautious, certain
    database.close()


def lapse(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("airplane_runbooks.server.storage.sql_store.LEASE", timedelta(0))
        store.renew({"r": store.run("r").fencing_token})


def test_a_lapsed_lease_is_not_taken_over_after_an_outage(stores, monkeypatch):
    cautious, certain = stores
    lapse(cautious, monkeypatch)
    assert [one.id for one in certain.due(now(), 9)] == ["r"]
    assert not cautious.due(now(), 9)
    assert cautious.begin("r", 1) is None
    assert cautious.transact(lambda store: store.begin("r", 1)) is None
    assert certain.begin("r", 1) is not None


def test_what_nothing_executes_is_begun_even_after_an_outage(stores):
    cautious, _ = stores
    cautious.release("r", cautious.run("r").fencing_token)
    assert [one.id for one in cautious.due(now() + timedelta(seconds=1), 9)] == ["r"]
    assert cautious.begin("r", 2) is not None


def test_an_owner_goes_on_with_its_own_lapsed_lease(stores, monkeypatch):
    cautious, _ = stores
    lapse(cautious, monkeypatch)
    assert cautious.begin("r", 1, over=cautious.run("r").fencing_token) is not None


def test_each_write_of_a_step_renews_a_lapsed_lease(stores, monkeypatch):
    cautious, certain = stores
    token = cautious.run("r").fencing_token
    step = Run(id="s", kind=RunKind.STEP, root_id="r", task_id="s", slug="s", name="s", env_slug="prod", position="0")
    for write in (
        lambda: cautious.add_child(step, token),
        lambda: cautious.attempt(step, token),
        lambda: cautious.finish("s", Outcome.succeeded(b"1"), token),
    ):
        lapse(cautious, monkeypatch)
        assert write()
        assert transitions.is_leased(cautious.run("r"))
        assert certain.begin("r", 1, alone=False) is None
    lapse(cautious, monkeypatch)
    assert certain.begin("r", 1) is not None
    assert not cautious.finish("s", Outcome.succeeded(b"1"), token)
