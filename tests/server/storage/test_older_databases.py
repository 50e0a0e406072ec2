"""Databases that older versions left in the middle of their work are opened, upgraded and continued."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from airplane_runbooks.server import RunbookServer
from airplane_runbooks.server.errors import Conflict
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.sql_idempotency import SqlKeys
from airplane_runbooks.server.storage.tables import KEYS
from tests.support import version_1_runbooks
from tests.support.servers import Client, eventually

INDEXES = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND name LIKE 'runbook_%'",
    "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'runbook_%'",
}
VERSIONS = sorted(Path(__file__).parent.glob("version_*"))


def restore_sqlite(version, folder):
    path = folder / "runbooks.db"
    with gzip.open(version / "runbooks.db.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    path.chmod(0o600)
    return f"sqlite:///{path}"


def restore_postgresql(version, url):
    import psycopg

    dump = gzip.decompress((version / "postgresql.sql.gz").read_bytes()).decode()
    statements = "\n".join(line for line in dump.splitlines() if not line.startswith("\\"))  # psql's own commands
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements)
    return url


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def version(request):
    return request.param


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def old_database(request, version, tmp_path):
    if request.param == "sqlite":
        return restore_sqlite(version, tmp_path)
    return restore_postgresql(version, request.getfixturevalue("postgres_url"))


@pytest.fixture
def api(old_database, tmp_path, monkeypatch):
    """Serve an old database by today's server."""
    monkeypatch.setenv("RUNBOOK_LINGER_UNTIL", str(tmp_path))
    server = RunbookServer(
        [version_1_runbooks.refund, version_1_runbooks.unlock, version_1_runbooks.wait_long],
        [version_1_runbooks.add],
        database=old_database,
        api_key=version_1_runbooks.API_KEY,
        encryption_key=version_1_runbooks.ENCRYPTION_KEY,
    )
    with server:
        client = Client(server)
        yield client
        client.close()


def sessions(api):
    """Return the IDs of the sessions that `make_databases` has started; of version 1, no database has a held one."""
    listed = api.get("/sessions/list").json["sessions"][::-1]
    names = ["ended", "waiting", "secret", "held", "active", "cancelling", "pending"]
    if len(listed) < len(names):
        names.remove("held")
    return dict(zip(names, (session["id"] for session in listed), strict=True))


def output(api, session_id):
    return api.output(api.runs(session_id)[0])


def test_sessions_of_old_databases_go_on_where_they_were(api):
    ids = sessions(api)
    answers = {
        "waiting": {"approve": True},
        "secret": {"pin": "1234"},
        "held": {"approve": True},
        "pending": {"approve": False},
    }
    for name in answers.keys() & ids.keys():
        eventually(lambda name=name: api.answer(ids[name], **answers[name]).status == 200)  # once it is let go
    for name in ids.keys() - {"cancelling"}:
        api.reaches(ids[name], "Succeeded")
    api.reaches(ids["cancelling"], "Cancelled")
    assert [output(api, ids[name]) for name in ("ended", "waiting", "pending")] == [
        "refused",
        "100 for Grace",
        "refused",
    ]
    assert "held" not in ids or output(api, ids["held"]) == "100 for Barbara"
    assert output(api, ids["active"]) == "done"
    assert output(api, ids["secret"]) == len("an old secret") + len("1234")
    (task,) = api.get("/runs/list", taskSlug="add").json["runs"]
    assert api.output(task) == 5


def test_steps_that_an_old_database_has_are_not_repeated(api, monkeypatch):
    def look_up(customer):
        raise AssertionError(customer)

    monkeypatch.setattr(version_1_runbooks, "look_up", look_up)
    waiting = sessions(api)["waiting"]
    api.answer(waiting, approve=True)
    api.reaches(waiting, "Succeeded")
    assert len(api.runs(waiting)) == len(["refund", "look_up", "prompt"])


def test_the_keys_of_old_databases_are_honoured(old_database):
    database = Database(old_database)
    try:
        with database.read() as connection:
            keys = dict(connection.execute(sa.select(KEYS.c.key, KEYS.c.status)).all())
        assert keys.pop("an-unsettled-key") is None
        assert list(keys.values()) == [200]
        keys = SqlKeys(database, lambda: 0.0)  # the clock does not matter to a lease, if only it is far away
        assert keys.claim("an-unsettled-key", b"fingerprint").reply is None
        with pytest.raises(Conflict):
            keys.claim("an-unsettled-key", b"another fingerprint")
    finally:
        database.close()


def test_an_upgraded_database_has_the_tables_of_a_new_one(old_database, tmp_path, request):
    new_database = "sqlite://" if old_database.startswith("sqlite") else request.getfixturevalue("another_postgres_url")

    assert tables_and_indexes(old_database) == tables_and_indexes(new_database)


def tables_and_indexes(url):
    """Return the columns of each table, and the definitions of all indexes with their conditions."""
    database = Database(url)
    try:
        look = sa.inspect(database.sqlalchemy_engine)
        tables = {
            name: {column["name"]: (str(column["type"]), column["nullable"]) for column in look.get_columns(name)}
            for name in look.get_table_names()
            if name.startswith("runbook_")
        }
        with database.read() as connection:
            indexes = connection.scalars(sa.text(INDEXES[connection.dialect.name])).all()
        return tables, sorted(indexes)
    finally:
        database.close()
