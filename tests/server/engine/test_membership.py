"""Servers that share a PostgreSQL know of one another, as long as they live."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from airplane_runbooks.server.engine import membership
from airplane_runbooks.server.engine.membership import Membership
from airplane_runbooks.server.storage.contact import Contact
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

    def make(name, catalog=b"[]", contact=None):
        joined.append(Membership(database.url, name, catalog, contact))
        joined[-1].join()
        return joined[-1]

    yield make
    for one in joined:
        one.leave()
        one.leave()
    assert living(database) == set()


@pytest.fixture
def proven(monkeypatch):
    """Let each server have had the database for long."""
    monkeypatch.setattr(Contact, "is_proven", True)


def living(database):
    with database.connect() as connection:
        return set(connection.scalars(sa.select(SERVERS.c.id)))


def test_each_server_knows_the_code_of_the_others(join):
    one, other = join("one", b"[1]"), join("other", b"[2]")
    assert (one.others(), other.others()) == ([b"[2]"], [b"[1]"])
    other.leave()
    assert one.others() == []


def add(database, name, seconds):
    """Add a server that was last seen so many seconds ago."""
    with database.begin() as connection:
        ago = sa.text(f"now() - interval '{seconds} seconds'")
        connection.execute(sa.insert(SERVERS).values(id=name, seen_at=ago, catalog=b"[]"))


def test_a_server_that_is_not_renewed_is_not_known_any_more(join, database, proven):
    one = join("one")
    add(database, "dead", SERVER_LEASE + 1)
    assert one.others() == []
    add(database, "forgotten", 7200)
    join("other")
    assert living(database) == {"one", "other", "dead"}
    with database.begin() as connection:
        connection.execute(sa.delete(SERVERS).where(SERVERS.c.id == "dead"))


def test_all_servers_may_live_for_a_while_after_an_outage(join, database, monkeypatch):
    monkeypatch.setattr(membership, "RENEWAL", 0.05)
    one = join("one")
    add(database, "silent", SERVER_LEASE + 1)
    assert one.others() == [b"[]"]
    eventually(lambda: one.peers == {"silent"})
    with monkeypatch.context() as patch:
        patch.setattr(Contact, "is_proven", True)
        assert one.others() == []
        eventually(lambda: one.peers == set())
    with database.begin() as connection:
        connection.execute(sa.delete(SERVERS).where(SERVERS.c.id == "silent"))


def test_a_renewal_that_fails_ends_the_contact(join, database, monkeypatch):
    monkeypatch.setattr(membership, "RENEWAL", 0.05)
    contact = Contact()
    join("one", contact=contact)
    assert contact._since is not None
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE runbook_servers RENAME TO elsewhere"))
    eventually(lambda: contact._since is None)
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO runbook_servers"))
    eventually(lambda: contact._since is not None)


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
