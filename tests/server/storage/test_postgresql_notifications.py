"""Notifications among servers on one PostgreSQL, direct and through a pooler."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy as sa

from airplane_runbooks.server.storage import audience, postgresql_notifications
from airplane_runbooks.server.storage.postgresql_notifications import CHANNEL, PostgresNotifications
from airplane_runbooks.server.storage.url import parse
from tests.support.postgres import cut_listeners, pgbouncer
from tests.support.servers import eventually

pytestmark = pytest.mark.postgres


class Receiver:
    """Receiver that keeps what it gets."""

    def __init__(self):
        self.texts = []
        self.missed = 0

    def __call__(self, texts):
        if texts is None:
            self.missed += 1
        else:
            self.texts.extend(texts)


@contextmanager
def opened(url, *channels):
    """Open the notifications of a server, and yield them with a receiver of each channel."""
    notifications = PostgresNotifications(parse(url))
    receivers = [Receiver() for _ in channels]
    for channel, receiver in zip(channels, receivers, strict=True):
        notifications.subscribe(channel, receiver)
    notifications.open()
    try:
        yield notifications, *receivers
    finally:
        notifications.close()


def listens(notifications):
    eventually(lambda: notifications.is_complete)


def test_servers_hear_one_another(postgres_url):
    with (
        opened(postgres_url, "one", "other") as (here, *of_here),
        opened(postgres_url, "one", "other") as (there, *of_there),
    ):
        listens(here)
        listens(there)
        here.publish("one", ["a", "b"])
        there.publish("other", ["c \0 é"])
        eventually(lambda: of_there[0].texts == ["a", "b"])
        eventually(lambda: of_here[1].texts == ["c \0 é"])
        assert of_here[0].texts == ["a", "b"]  # once, and not again by way of the database
        assert (of_here[1].texts, of_there[1].texts) == (["c \0 é"], ["c \0 é"])


@pytest.fixture
def alone(postgres_url, monkeypatch):
    """Notifications of a server that has heard no other for long, and the messages that it sends."""
    sent, encode = [], postgresql_notifications.encode_messages

    def encoding(name, channel, texts):
        sent.extend([channel] if channel else [])  # no echoes
        return encode(name, channel, texts)

    with opened(postgres_url, "one") as (here, receiver):
        listens(here)
        monkeypatch.setattr(audience, "MEMORY", 3600.0)
        here._audience._present_until = 0.0
        monkeypatch.setattr(postgresql_notifications, "encode_messages", encoding)
        yield here, receiver, sent


def test_a_server_alone_sends_nothing(alone):
    here, receiver, sent = alone
    here.publish("one", ["a"])
    here._outbox.wake()
    assert receiver.texts == ["a"]
    assert (here._outbox.take(), sent) == ({}, [])


def test_a_newcomer_is_told_that_it_may_have_missed_some(alone, postgres_url):
    here, _, sent = alone
    here.publish("one", ["before"])
    with opened(postgres_url, "one") as (there, newcomer):
        listens(there)
        eventually(lambda: newcomer.missed == 2)  # as it began to listen, and as it was heard
        here.publish("one", ["after"])
        eventually(lambda: newcomer.texts == ["after"])
    assert sent == ["one", "one"]


def test_a_server_that_hears_nothing_any_more_sends_again(alone, postgres, postgres_url):
    here, receiver, sent = alone
    here.publish("one", ["before"])
    cut_listeners(postgres, postgres_url)
    eventually(lambda: receiver.missed == 3 and sent == ["one"])
    here.publish("one", ["after"])
    eventually(lambda: sent == ["one", "one"])


def test_thousands_of_texts_all_arrive(postgres_url):
    with opened(postgres_url) as (here,), opened(postgres_url, "one") as (there, receiver):
        listens(there)
        listens(here)
        texts = {f"{number:0>100}" for number in range(3_000)}
        for text in texts:
            here.publish("one", [text])
        eventually(lambda: set(receiver.texts) == texts)


def test_the_end_sends_what_is_left(postgres_url):
    with opened(postgres_url, "one") as (there, receiver):
        listens(there)
        with opened(postgres_url) as (here,):
            listens(here)
            here.publish("one", ["last"])
        eventually(lambda: receiver.texts == ["last"])


def test_a_lost_connection_is_told_and_replaced(postgres, postgres_url, caplog):
    with opened(postgres_url, "one") as (here, receiver), opened(postgres_url) as (there,):
        listens(here)
        listens(there)
        eventually(lambda: receiver.missed == 1)
        cut_listeners(postgres, postgres_url)
        eventually(lambda: receiver.missed >= 3)  # lost, and found again
        listens(here)
        listens(there)
        there.publish("one", ["again"])
        eventually(lambda: receiver.texts == ["again"])
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(caplog.records)


def test_texts_of_an_outage_are_sent_after_it(postgres_url, monkeypatch):
    with opened(postgres_url, "one") as (there, receiver), opened(postgres_url) as (here,):
        listens(there)
        listens(here)
        send = postgresql_notifications._Link._send
        failing = threading.Event()

        def fail_once(link):
            if link._name == here._name and not failing.is_set():
                failing.set()
                link._connection.close()
            send(link)

        monkeypatch.setattr(postgresql_notifications._Link, "_send", fail_once)
        here.publish("one", ["a"])
        eventually(lambda: receiver.texts == ["a"])


def test_a_connection_without_echoes_is_replaced(postgres_url, monkeypatch):
    monkeypatch.setattr(postgresql_notifications, "_ECHO_EVERY", 0.1)
    monkeypatch.setattr(postgresql_notifications, "_ECHO_WITHIN", 1.0)
    send_echo, is_broken = PostgresNotifications._send_echo, threading.Event()

    def send(self, text):
        if not is_broken.is_set():
            send_echo(self, text)

    monkeypatch.setattr(PostgresNotifications, "_send_echo", send)
    with opened(postgres_url, "one") as (here, receiver):
        listens(here)
        is_broken.set()
        eventually(lambda: not here.is_complete)
        is_broken.clear()
        listens(here)
        assert receiver.missed >= 3


def test_messages_of_other_programs_are_ignored(postgres_url):
    with opened(postgres_url, "one") as (here, receiver), opened(postgres_url) as (there,):
        listens(here)
        listens(there)
        with psycopg.connect(sa.make_url(postgres_url).render_as_string(False), autocommit=True) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, "hello"))
        there.publish("one", ["a"])
        eventually(lambda: receiver.texts == ["a"])


def test_closing_is_idempotent_and_ends_the_exchange(postgres_url):
    notifications = PostgresNotifications(parse(postgres_url))
    notifications.publish("one", ["before it is open"])
    notifications.open()
    notifications.open()
    listens(notifications)
    notifications.close()
    notifications.close()
    notifications.open()
    assert not notifications.is_complete
    notifications.publish("one", ["after the end"])


def test_a_pooler_of_sessions_lets_notifications_through(postgres_url):
    with (
        pgbouncer(postgres_url, "session", default_pool_size=20) as url,
        opened(url, "one") as (here, receiver),
        opened(url) as (there,),
    ):
        listens(here)
        there.publish("one", ["a"])
        eventually(lambda: receiver.texts == ["a"])


def test_a_pooler_of_transactions_is_found_out(postgres_url, monkeypatch, caplog):
    monkeypatch.setattr(postgresql_notifications, "_ECHO_WITHIN", 1.0)
    monkeypatch.setattr(postgresql_notifications, "_ECHO_AGAIN", 0.1)
    caplog.set_level(logging.WARNING)
    with (
        pgbouncer(postgres_url, "transaction", default_pool_size=20) as url,
        opened(url) as (deaf,),
        opened(postgres_url, "one") as (hears, receiver),
    ):
        listens(hears)
        eventually(lambda: "the database is polled" in caplog.text)
        assert not deaf.is_complete
        deaf.publish("one", ["a"])
        eventually(lambda: receiver.texts == ["a"])
    assert caplog.text.count("the database is polled") == 1
