"""Long polls on one of several servers that share a PostgreSQL, for changes that another one makes."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa

from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.web.api import preferences
from tests.support.polling import Polls
from tests.support.postgres import cut_listeners, pgbouncer
from tests.support.servers import eventually, started

pytestmark = pytest.mark.postgres

LONG = "wait=300"


@runbook
def ask(context: Context) -> bool:
    """Ask a human."""
    return context.prompt("Go on?", go=bool)["go"]


@pytest.fixture(autouse=True)
def _long_waits(monkeypatch):
    monkeypatch.setattr(preferences, "LONGEST_WAIT", 300)


@contextmanager
def served(url):
    """Run a server, and yield it with a client and its long polls."""
    with started(ask, database=url) as (server, client), closing(Polls(server, client)) as polls:
        yield server, client, polls


@contextmanager
def another_server(url):
    """Yield the store of another server, which has no engine of its own."""
    database = Database(url)
    try:
        database.notifications.open()
        eventually(lambda: database.notifications.is_complete)
        yield SqlStore(database)
    finally:
        database.close()


def waits_for(polls, path):
    return polls.start(path, Prefer=LONG, If_None_Match=polls.ask(path).etag)


def asking(client):
    """Return a session's long-poll paths, by its own ID, its run's and its prompt's, and the ID of its root run."""
    session_id = client.execute("ask")
    prompt = client.open_prompt(session_id)
    (root,) = [run["id"] for run in client.runs(session_id) if run["parentID"] is None]
    paths = [f"/sessions/get?id={session_id}", f"/runs/get?id={prompt['runID']}", f"/prompts/get?id={prompt['id']}"]
    return paths, root


def test_a_change_by_another_server_is_told(postgres_url):
    with served(postgres_url) as (server, client, polls), another_server(postgres_url) as other:
        eventually(lambda: server._lifecycle.services.notifications.is_complete)
        paths, root = asking(client)
        waiting = [waits_for(polls, path) for path in paths]
        polls.await_waiting(3)
        other.cancel(root, "me")
        assert [poll.reply().status for poll in waiting] == [200] * 3


def test_a_change_during_an_outage_of_listening_is_found(postgres, postgres_url, monkeypatch):
    with served(postgres_url) as (server, client, polls), another_server(postgres_url) as other:
        notifications = server._lifecycle.services.notifications
        eventually(lambda: notifications.is_complete)
        paths, root = asking(client)
        waiting = [waits_for(polls, path) for path in paths]
        polls.await_waiting(3)
        monkeypatch.setattr(notifications, "_hear", lambda *_: None)  # the next connection hears nothing
        cut_listeners(postgres, postgres_url)
        eventually(lambda: not notifications.is_complete)
        other.cancel(root, "me")
        assert [poll.reply().status for poll in waiting] == [200] * 3


def test_through_a_pooler_one_statement_polls_for_all(postgres_url):
    with (
        pgbouncer(postgres_url, "transaction", default_pool_size=30) as url,
        served(url) as (server, client, polls),
        another_server(postgres_url) as other,
    ):
        paths, root = asking(client)
        others = [asking(client)[0] for _ in range(5)]
        quiet = [waits_for(polls, path) for paths_of_one in others for path in paths_of_one]
        waiting = [waits_for(polls, path) for path in paths for _ in range(10)]
        polls.await_waiting(45)
        assert not server._lifecycle.services.notifications.is_complete
        statements = []
        engine = server._lifecycle.services.store.database.sqlalchemy_engine

        def executed(connection, cursor, statement, *_):
            if threading.current_thread().name.startswith("runbook-api"):
                statements.append(statement)

        sa.event.listen(engine, "before_cursor_execute", executed)
        eventually(lambda: sum("UNION ALL" in one for one in statements) >= 2)
        before = [one for one in statements if not one.startswith("SET LOCAL")]
        assert all("UNION ALL" in one for one in before)
        other.cancel(root, "me")
        assert [poll.reply().status for poll in waiting] == [200] * 30
        reads = [one for one in statements if "UNION ALL" not in one and not one.startswith("SET LOCAL")]
        assert len(reads) <= 6  # one for each object that has changed, and one more for the prompts of a run
        polls.await_waiting(len(quiet))
