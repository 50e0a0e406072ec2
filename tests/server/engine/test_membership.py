"""Servers that share a PostgreSQL know of one another, as long as they live."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airplane_runbooks.server.engine import membership
from airplane_runbooks.server.engine.membership import Membership
from airplane_runbooks.server.storage.tables import SERVER_LEASE, SERVERS
from tests.support.servers import eventually

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(postgres_url):
    """A new database with the table of the servers."""
    database = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    SERVERS.create(database)
    yield database
    database.dispose()


@pytest.fixture
def join(database):
    """Let servers join; all have left at the end."""
    joined = []

    def make(name, catalog=b"[]"):
        joined.append(Membership(database.url, name, catalog))
        joined[-1].join()
        return joined[-1]

    yield make
    for one in joined:
        one.leave()
        one.leave()
    assert living(database) == set()


def living(database):
    with database.connect() as connection:
        return set(connection.scalars(sa.select(SERVERS.c.id)))


def test_each_server_knows_the_code_of_the_others(join):
    one, other = join("one", b"[1]"), join("other", b"[2]")
    assert (one.others(), other.others()) == ([b"[2]"], [b"[1]"])
    other.leave()
    assert one.others() == []


def test_a_server_that_is_not_renewed_is_not_known_any_more(join, database):
    one = join("one")
    with database.begin() as connection:
        ago = sa.text(f"now() - interval '{SERVER_LEASE + 1} seconds'")
        connection.execute(sa.insert(SERVERS).values(id="dead", seen_at=ago, catalog=b"[]"))
    assert one.others() == []
    join("other")
    assert living(database) == {"one", "other"}


def test_a_membership_outlives_a_lost_connection(join, database, monkeypatch, caplog):
    monkeypatch.setattr(membership, "RENEWAL", 0.05)
    join("one")
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE runbook_servers RENAME TO elsewhere"))
    eventually(lambda: "the membership cannot be renewed" in caplog.text)
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO runbook_servers"))
        connection.execute(sa.delete(SERVERS))
    eventually(lambda: living(database) == {"one"})
    assert caplog.text.count("the membership cannot be renewed") == 1
    with database.begin() as connection:
        connection.execute(sa.delete(SERVERS))
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {others}"))
    eventually(lambda: living(database) == {"one"})


def test_a_server_without_its_table_does_not_join(database):
    SERVERS.drop(database)
    one = Membership(database.url, "one")
    with pytest.raises(sa.exc.ProgrammingError):
        one.join()
    one.leave()
    SERVERS.create(database)
