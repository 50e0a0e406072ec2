"""A database that would fail a server later is refused at its start, with advice."""

from __future__ import annotations

import psycopg
import pytest

from airplane_runbooks.server import RunbookServer
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.errors import DatabaseError, DatabaseUnavailable
from airplane_runbooks.server.storage.postgresql_checks import explain
from tests.support.postgres import pgbouncer
from tests.support.supervised import free_port

pytestmark = pytest.mark.postgres


@pytest.fixture
def name(postgres_url):
    return postgres_url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def role(postgres):
    """A role that may do nothing in particular."""
    role = f"role_{free_port()}"
    postgres.execute(f"CREATE ROLE {role} LOGIN")
    yield role
    postgres.execute(f"DROP ROLE {role}")


def refused(url, *words):
    with pytest.raises(DatabaseError) as raised:
        Database(url).close()
    text = str(raised.value)
    assert all(word in text for word in words), text
    assert "s3cret" not in text
    return raised.value


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_an_encoding_that_cannot_hold_all_texts(postgres, encoding):
    name = f"encoded_{encoding.lower()}"
    postgres.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        refused(postgres.url(name), encoding, "ENCODING 'UTF8'")
    finally:
        postgres.execute(f"DROP DATABASE {name}")


def test_a_role_that_may_not_make_tables(postgres, postgres_url, name, role):
    url = postgres_url.replace("postgres@", f"{role}@")
    refused(url, role, "GRANT CREATE, USAGE ON SCHEMA public")
    with psycopg.connect(postgres.url(name), autocommit=True) as connection:
        connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
        RunbookServer([], database=url).start().close()
        connection.execute(f"REVOKE CREATE ON SCHEMA public FROM {role}")
        RunbookServer([], database=url).start().close()  # everything has been created
        connection.execute(f"DROP OWNED BY {role} CASCADE")


@pytest.mark.parametrize("of", ["ROLE", "DATABASE"])
def test_too_few_connections(postgres, postgres_url, name, role, of):
    url = postgres_url.replace("postgres@", f"{role}@")
    with psycopg.connect(postgres.url(name), autocommit=True) as connection:
        connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
        connection.execute(f"ALTER {of} {role if of == 'ROLE' else name} CONNECTION LIMIT 3")
        refused(url, "24 connections", "limit is 3", f"ALTER {of}")
        connection.execute(f"ALTER {of} {role if of == 'ROLE' else name} CONNECTION LIMIT 24")
        Database(url).close()
        connection.execute(f"DROP OWNED BY {role} CASCADE")


def test_a_database_that_is_read_only(postgres, postgres_url, name):
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refused(postgres_url, "read-only", "default_transaction_read_only")


def test_a_database_that_is_not_there(postgres):
    refused(postgres.url("nowhere"), "nowhere", "CREATE DATABASE")


def test_a_role_that_is_not_there(postgres_url):
    refused(postgres_url.replace("postgres@", "nobody_here:s3cret@"), "nobody_here")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('FATAL: password authentication failed for user "u"', "check the role and the password"),
        ('FATAL: no pg_hba.conf entry for host "h"', "must let this role and host in"),
        ('FATAL: too many connections for role "u"', "CONNECTION LIMIT"),
        ('FATAL: permission denied for database "d"', "GRANT CONNECT"),
        ("FATAL: unsupported startup parameter: options", "ignore_startup_parameters"),
        ("connection refused", None),
    ],
)
def test_a_refused_connection_comes_with_advice(text, advice):
    said = explain(text)
    assert said == "" if advice is None else said.startswith("; ") and advice in said


def test_a_port_without_a_listener_is_an_unavailable_database():
    with pytest.raises(DatabaseUnavailable):
        Database(f"postgresql://u:s3cret@127.0.0.1:{free_port()}/d")


def test_a_pooler_that_refuses_a_parameter_of_the_url(postgres_url):
    with pgbouncer(postgres_url, "session") as url:
        refused(f"{url}?options=-cgeqo%3Doff", "a pooler refuses a parameter of the URL")
