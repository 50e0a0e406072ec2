"""A pooler may stand between servers and PostgreSQL, even if it hands out its connections by transactions."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.postgresql import keep_settings
from tests.support.postgres import pgbouncer
from tests.support.servers import started

pytestmark = pytest.mark.postgres


@runbook
def asks(context: Context) -> str:
    """Ask."""
    before = context.step(str.upper, "before")
    answer = context.prompt("Go on?", word=str)
    return f"{before} {context.step(str.upper, answer['word'])}"


POOLERS = [
    pytest.param(("transaction", {}), id="transaction"),
    pytest.param(("transaction", {"ignore_startup_parameters": "options"}), id="lenient", marks=pytest.mark.nightly),
    pytest.param(("session", {}), id="session", marks=pytest.mark.nightly),
]


@pytest.fixture(params=POOLERS)
def pooled_url(request, postgres_url):
    mode, settings = request.param
    with pgbouncer(postgres_url, mode, default_pool_size=30, **settings) as url:
        yield url


def test_sessions_are_executed_through_a_pooler(pooled_url):
    with started(asks, database=pooled_url) as (_, client):
        sessions = [client.execute("asks") for _ in range(8)]  # a statement is prepared at its sixth execution
        for session_id in sessions:
            client.answer(session_id, word="after")
        for session_id in sessions:
            client.reaches(session_id, "Succeeded")
            assert client.output(client.runs(session_id)[0]) == "BEFORE AFTER"


def test_a_frozen_server_keeps_no_locks_through_a_pooler(pooled_url):
    database = Database(pooled_url)
    try:
        show = sa.text("SHOW idle_in_transaction_session_timeout")
        assert database.transact(lambda connection: connection.scalar(show)) == "10s"
    finally:
        database.close()


def test_settings_hold_in_every_transaction(postgres_url):
    settings_hold(postgres_url)


def test_settings_hold_in_every_transaction_of_a_pooler(pooled_url):
    settings_hold(pooled_url)


def settings_hold(url):
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    keep_settings(engine, {"synchronous_commit": "off", "statement_timeout": "3000"})
    try:
        for _ in range(2):
            with engine.begin() as connection:
                shown = [
                    connection.scalar(sa.text(f"SHOW {one}")) for one in ("synchronous_commit", "statement_timeout")
                ]
                assert shown == ["off", "3s"]
    finally:
        engine.dispose()
