"""Deliveries until they have arrived or are given up: attempts, leases, crashes, and the end of a server."""

from __future__ import annotations

import logging
import socket
import threading
import time

import pytest

from airplane_runbooks import ClientClosed
from airplane_runbooks.http import Headers, Response
from airplane_runbooks.server import Context, RunbookServer, Slack, Webhook, runbook
from airplane_runbooks.server.deliveries import deliverer as deliverers
from airplane_runbooks.server.deliveries import schedule, sending
from airplane_runbooks.server.deliveries.deliverer import Deliverer
from airplane_runbooks.server.notifications import Notifications
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.deliveries import SqlDeliveries, add_deliveries
from airplane_runbooks.server.storage.records import Delivery
from tests.support.receivers import SECRET, HookReceiver
from tests.support.servers import Client, eventually, started

BODY = b'{"type":"session.failed","timestamp":"2026-11-28T07:00:00Z","data":{"session":{"id":"s","status":"Failed"}}}'


@runbook
def idle(context: Context) -> None:
    """Do nothing."""


@pytest.fixture
def receiver():
    with HookReceiver() as receiver:
        yield receiver


@pytest.fixture
def soon(monkeypatch):
    """Let further attempts follow at once."""
    monkeypatch.setattr(schedule, "FIRST_DELAY", 0.0)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request):
    database = Database("sqlite://" if request.param == "memory" else request.getfixturevalue("postgres_url"))
    yield database
    database.close()


@pytest.fixture
def deliveries(database):
    return SqlDeliveries(database)


@pytest.fixture
def running(database, deliveries):
    """Return a function that runs a deliverer for some targets until the end of the test."""
    begun = []

    def run(*targets, transport=None):
        deliverer = Deliverer(
            deliveries,
            {target.name: target for target in targets},
            database.notifications,
            is_shared=database.is_shared,
            transport=transport,
        )
        begun.append(deliverer)
        deliverer.open()
        return deliverer

    yield run
    for deliverer in begun:
        deliverer.close(10)


def add(database, *ids, target="webhook"):
    added = [Delivery(id=one, target=target, event_type="e", session_id="ses1", body=BODY) for one in ids]
    database.transact(lambda connection: add_deliveries(connection, added))


def webhook(receiver):
    return Webhook(receiver.url, secret=SECRET)


def test_a_delivery_is_gone_once_it_has_arrived(database, deliveries, running, receiver):
    running(webhook(receiver))
    add(database, "m1")

    assert [message.id for message in receiver.wait_for(1)] == ["m1"]
    eventually(lambda: not deliveries.waiting(1))


def test_what_waits_from_before_the_start_is_sent(database, deliveries, running, receiver):
    add(database, "m1", "m2")
    running(webhook(receiver))

    assert {message.id for message in receiver.wait_for(2)} == {"m1", "m2"}


def test_attempts_are_made_again_with_the_same_id(database, deliveries, running, receiver, soon):
    receiver.answers = [(503, {}), (302, {"location": "/elsewhere"}), (404, {})]
    running(webhook(receiver))
    add(database, "m1")
    messages = receiver.wait_for(4)
    eventually(lambda: not deliveries.waiting(1))

    assert [(message.id, message.body) for message in messages] == [("m1", BODY)] * 4
    assert {message.path for message in messages} == {messages[0].path}


def test_a_receiver_that_asks_for_a_pause_is_left_alone(database, deliveries, running, receiver, soon):
    receiver.answers = [(429, {"retry-after": "3600"})]
    deliverer = running(webhook(receiver))
    add(database, "m1")
    eventually(lambda: [one.problem for one in deliveries.waiting(1)] == ["the receiver answered 429"])
    eventually(lambda: not deliverer._in_progress.total())
    add(database, "m2")
    add(database, "m3", target="elsewhere")
    assert [one.id for one in deliveries.waiting(9)] == ["m2", "m3", "m1"]
    assert len(receiver.messages) == 1

    deliverer.hurry()  # as "send again" does
    assert [message.id for message in receiver.wait_for(2)] == ["m1", "m2"]


def test_a_receiver_that_is_gone_is_not_asked_again(database, deliveries, running, receiver, caplog):
    receiver.answers = [(410, {})]
    running(webhook(receiver))
    with caplog.at_level(logging.WARNING, logger=deliverers.__name__):
        add(database, "m1")
        (given_up,) = eventually(lambda: deliveries.given_up(1))
        eventually(lambda: caplog.records)

    assert "410" in given_up.problem
    assert "given up" in caplog.text
    assert "hidden" not in caplog.text
    assert "a-secret" not in caplog.text


def test_the_last_attempt_that_fails_gives_a_delivery_up(database, deliveries, running, receiver, soon):
    receiver.answers = [(500, {})] * schedule.MOST_ATTEMPTS
    running(webhook(receiver))
    add(database, "m1")
    (given_up,) = eventually(lambda: deliveries.given_up(1))

    assert given_up.attempts == schedule.MOST_ATTEMPTS == len(receiver.messages)
    deliveries.send_again("m1")
    add(database, "m2")  # which wakes the deliverer
    assert {message.id for message in receiver.wait_for(schedule.MOST_ATTEMPTS + 2)[-2:]} == {"m1", "m2"}


@pytest.mark.parametrize("answer", [None, b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", b""])
def test_receivers_that_are_no_good_are_named_without_their_url(answer, database, deliveries, running):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def reply():
            connection = listener.accept()[0]
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        if answer is not None:
            thread = threading.Thread(target=reply)
            thread.start()
        else:
            listener.close()
        running(Slack(f"http://127.0.0.1:{port}/hidden"))
        add(database, "m1", target="slack")
        problem = eventually(lambda: deliveries.waiting(1)[0].problem)
        if answer is not None:
            thread.join()

    assert problem.startswith(("no connection", "the connection broke", "the receiver's answer is not HTTP"))
    assert str(port) not in problem


class Crashing:
    """A transport whose process dies once the request has been sent."""

    def __init__(self):
        self.sent = threading.Event()
        self.is_dead = threading.Event()

    def send(self, request, timeout, /):
        self.sent.set()
        self.is_dead.wait(60)
        raise ClientClosed("dead")  # and nothing is recorded

    def close(self):
        self.is_dead.set()


def test_a_crash_after_the_request_leads_to_one_more(database, deliveries, running, receiver):
    crashing = Crashing()
    dead = running(webhook(receiver), transport=crashing)
    add(database, "m1")
    assert crashing.sent.wait(60)
    dead.stop()
    assert deliveries.waiting(1)[0].leased

    deliveries.end_leases()  # as time does
    running(webhook(receiver))
    assert receiver.wait_for(1)[0].id == "m1"
    eventually(lambda: not deliveries.waiting(1))
    crashing.close()


class Counting:
    """A transport that counts what is in flight to each target, and what has arrived."""

    def __init__(self):
        self.changed = threading.Condition()
        self.in_flight, self.most, self.paths = 0, 0, []

    def send(self, request, timeout, /):
        with self.changed:
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most > 1, 60)  # the first one waits for company
            self.in_flight -= 1
            self.paths.append(request.target)
        return Response(status=200, headers=Headers(), body=b"")

    def close(self):
        pass


def test_several_servers_send_each_delivery_once(database, deliveries, running):
    transport = Counting()
    targets = [Slack(f"https://example.com/{name}", name=name) for name in "abcdef"]
    for name in "abcdef":
        add(database, *(f"{name}{number}" for number in range(5)), target=name)
    for _ in range(3):
        running(*targets, transport=transport)
    eventually(lambda: not deliveries.waiting(1))

    assert sorted(transport.paths) == sorted(f"/{name}" for name in "abcdef" for _ in range(5))
    assert 1 < transport.most <= 3 * deliverers.MOST_AT_A_TIME


def test_a_target_that_hangs_does_not_delay_the_others(database, deliveries, running, receiver):
    with socket.create_server(("127.0.0.1", 0)) as listener:  # which takes connections, and says nothing
        running(Slack(f"http://127.0.0.1:{listener.getsockname()[1]}/"), webhook(receiver))
        add(database, *(f"s{number}" for number in range(20)), target="slack")
        add(database, "m1")
        receiver.wait_for(1)

        assert len([one for one in deliveries.waiting(50) if one.leased and one.target == "slack"]) == 2


def test_a_server_closes_in_time_while_a_receiver_hangs(monkeypatch):
    monkeypatch.setattr(sending, "ATTEMPT_TIMEOUT", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RunbookServer([idle], notify=[Slack(f"http://127.0.0.1:{listener.getsockname()[1]}/")], grace=0.1)
        with server:
            client = Client(server)
            client.finishes("idle")
            client.close()
            connection, _ = listener.accept()  # which stays open, without an answer
            deliverer = server._lifecycle.services.deliverer
            begin = time.monotonic()
        connection.close()
        assert time.monotonic() - begin < 300  # less than an attempt may take
        assert deliverer._thread is not None
        assert not deliverer._thread.is_alive()


def test_what_could_not_be_sent_outlasts_its_server(tmp_path, receiver):
    url = f"sqlite:///{tmp_path / 'runbooks.db'}"
    receiver.answers = [(500, {})]
    with started(idle, database=url, notify=[webhook(receiver)]) as (server, api):
        api.finishes("idle")
        outbox = server._lifecycle.services.deliverer.deliveries
        eventually(lambda: outbox.waiting(1)[0].problem)
    with started(idle, database=url) as (server, _):  # nothing is sent or given up without targets
        outbox = server._lifecycle.services.deliverer.deliveries
        (left,) = outbox.waiting(1)
        assert outbox.retry(left, "", left.created_at)
    with started(idle, database=url, notify=[webhook(receiver)]):
        first, second = receiver.wait_for(2)

    assert first.id == second.id == left.id


def test_only_a_new_delivery_wakes_an_idle_deliverer(database, running, receiver, monkeypatch):
    deliverer = running(webhook(receiver))
    if database.is_shared:  # a connection that begins to listen tells of everything
        return
    woken = []
    monkeypatch.setattr(deliverer, "_wake", lambda: woken.append(1))
    database.notifications.publish("changes", ["run1"])  # of a session alone
    Notifications().publish("changes", ["outbox"])  # of another database
    assert woken == []
    database.notifications.publish("changes", ["outbox"])

    assert woken == [1]
