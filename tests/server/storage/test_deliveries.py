"""The outbox in a database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from airplane_runbooks.models import RunStatus
from airplane_runbooks.server.storage import deliveries as outbox
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.deliveries import SqlDeliveries, add_deliveries
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.records import Delivery, Outcome, Prompt, Run, RunKind, Session
from airplane_runbooks.server.storage.sql_store import SqlStore

ROOM = {"slack": 5, "webhook": 5}


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request):
    database = Database("sqlite://" if request.param == "memory" else request.getfixturevalue("postgres_url"))
    yield database
    database.close()


@pytest.fixture
def deliveries(database):
    return SqlDeliveries(database)


class Announcer:
    """Makes a delivery of each event, whose ID says what it is about."""

    def prompt_opened(self, root, prompt):
        return [delivery(f"opened {prompt.id}")]

    def session_ended(self, root, outcome, cancelled_by):
        return [delivery(f"{outcome.status} {root.id} {cancelled_by}")]


@pytest.fixture
def store(database):
    return SqlStore(database, announcer=Announcer())


def delivery(message_id, target="slack", **changes):
    return Delivery(id=message_id, target=target, event_type="e", session_id="ses1", body=b"{}", **changes)


def add(database, *added):
    database.transact(lambda connection: add_deliveries(connection, added))


def waiting(deliveries):
    return [one.id for one in deliveries.waiting(100)]


def begun(store):
    run = Run(id="run1", kind=RunKind.RUNBOOK, session_id="ses1", task_id="rbk1", slug="s", name="n", env_slug="prod")
    return store.add_begun(run, Session(id="ses1", run_id="run1", runbook_id="rbk1", name="n"))


def asking(root, prompt_id="pmt1"):
    run = Run(
        id=f"run of {prompt_id}",
        kind=RunKind.PROMPT,
        root_id=root.id,
        session_id=root.session_id,
        task_id="tsk1",
        slug="s",
        name="n",
        env_slug="prod",
        position=prompt_id,
    )
    return run, root.fencing_token, Prompt(id=prompt_id, run_id=run.id, root_id=root.id, description="?")


def test_a_prompt_and_its_delivery_are_kept_together(store, deliveries):
    root = begun(store)
    assert store.add_child(*asking(root))
    assert waiting(deliveries) == ["opened pmt1"]


def test_a_prompt_that_is_refused_is_not_told(store, deliveries):
    root = begun(store)
    assert not store.add_child(*asking(replace(root, fencing_token=1)))
    assert waiting(deliveries) == []


def test_a_repeated_call_adds_no_second_delivery(store, deliveries):
    root = begun(store)
    assert store.add_child(*asking(root))
    assert store.add_child(*asking(root))
    assert waiting(deliveries) == ["opened pmt1"]


def test_nothing_is_told_of_a_transaction_that_fails(store, deliveries):
    root = begun(store)

    def fail(unit):
        unit.add_child(*asking(root))
        unit.finish(root.id, Outcome.succeeded(b"1"), root.fencing_token)
        raise LookupError

    with pytest.raises(LookupError):
        store.transact(fail)
    assert waiting(deliveries) == []


def test_the_end_of_a_session_is_told_once(store, deliveries):
    root = begun(store)
    for _ in range(2):
        assert store.finish(root.id, Outcome.succeeded(b"1"), root.fencing_token)
    assert waiting(deliveries) == ["Succeeded run1 None"]


def test_a_cancelled_session_is_told_once(store, deliveries):
    root = begun(store)
    store.cancel(root.id, "ada", "seed")
    store.cancel(root.id, "ada", "seed")
    store.finish(root.id, Outcome(RunStatus.CANCELLED), root.fencing_token)
    assert waiting(deliveries) == ["Cancelled run1 ada"]


def test_a_claimed_delivery_is_not_claimed_again(database, deliveries):
    add(database, delivery("a"), delivery("b", "webhook"), delivery("c", "unknown"))
    claimed = deliveries.claim(ROOM, 10)

    assert [(one.id, one.attempts, one.leased) for one in claimed] == [("a", 1, True), ("b", 1, True)]
    assert deliveries.claim(ROOM, 10) == []
    assert deliveries.next_due(ROOM) == claimed[0].due_at
    assert deliveries.next_due(["nowhere"]) is None


def test_deliveries_are_counted_until_they_have_arrived(database, deliveries):
    add(database, *(delivery(name) for name in "abcd"))
    arrived, refused, *_ = deliveries.claim(ROOM, 10)
    assert deliveries.count() == {"waiting": 4, "given_up": 0}
    deliveries.settle(arrived)
    deliveries.give_up(refused, "410")
    assert deliveries.count() == {"waiting": 2, "given_up": 1}


def test_a_target_gets_as_much_as_it_has_room_for(database, deliveries):
    add(database, *(delivery(f"s{number}") for number in range(4)), delivery("w", "webhook"))

    assert [one.id for one in deliveries.claim({"slack": 2, "webhook": 2}, 10)] == ["s0", "s1", "w"]
    assert [one.id for one in deliveries.claim({"slack": 2, "webhook": 2}, 1)] == ["s2"]


def test_a_lease_that_lapses_lets_another_server_send(database, deliveries, monkeypatch):
    monkeypatch.setattr(outbox, "LEASE", timedelta(0))
    add(database, delivery("a"))
    (first,) = deliveries.claim(ROOM, 10)
    (second,) = deliveries.claim(ROOM, 10)

    assert (first.attempts, second.attempts) == (1, 2)
    assert second.fencing_token > first.fencing_token
    assert not deliveries.settle(first)
    assert not deliveries.retry(first, "no", now())
    assert not deliveries.give_up(first, "no")
    assert deliveries.settle(second)
    assert waiting(deliveries) == []


def test_the_only_server_ends_the_leases_of_the_one_before(database, deliveries):
    add(database, delivery("a"))
    deliveries.claim(ROOM, 10)
    deliveries.end_leases()

    assert [one.attempts for one in deliveries.claim(ROOM, 10)] == [2]


def test_a_failed_attempt_waits_for_its_time(database, deliveries):
    add(database, delivery("a"))
    (claimed,) = deliveries.claim(ROOM, 10)
    later = now() + timedelta(hours=1)
    assert deliveries.retry(claimed, "503", later)

    (left,) = deliveries.waiting(10)
    assert (left.problem, left.attempts, left.leased) == ("503", 1, False)
    assert deliveries.next_due(ROOM) == left.due_at == later
    assert deliveries.claim(ROOM, 10) == []


def test_what_was_given_up_can_be_sent_again(database, deliveries):
    add(database, delivery("a"))
    (claimed,) = deliveries.claim(ROOM, 10)
    assert deliveries.give_up(claimed, "410")

    (given_up,) = deliveries.given_up(10)
    assert (given_up.id, given_up.problem, given_up.due_at) == ("a", "410", None)
    assert waiting(deliveries) == []
    assert deliveries.send_again("a")
    assert not deliveries.send_again("a")
    assert not deliveries.send_again("b")
    (again,) = deliveries.claim(ROOM, 10)
    assert (again.id, again.attempts, again.problem) == ("a", 1, "")
    assert again.fencing_token > claimed.fencing_token


def test_what_was_given_up_long_ago_is_removed(database, deliveries, monkeypatch):
    add(database, delivery("a", due_at=None, given_up_at=now() - timedelta(days=31)), delivery("b"))
    (claimed,) = deliveries.claim(ROOM, 10)
    deliveries.give_up(claimed, "410")

    assert [one.id for one in deliveries.given_up(10)] == ["b"]


def test_what_no_server_can_send_is_given_up_after_a_while(database, deliveries):
    old = now() - timedelta(days=2)
    add(database, delivery("a", due_at=old), delivery("b", "gone", due_at=old), delivery("c", "gone"))
    given_up = deliveries.give_up_unknown(ROOM, now() - timedelta(days=1), "unknown")

    assert [one.id for one in given_up] == ["b"]
    assert [(one.id, one.problem) for one in deliveries.given_up(10)] == [("b", "unknown")]
    assert waiting(deliveries) == ["a", "c"]
