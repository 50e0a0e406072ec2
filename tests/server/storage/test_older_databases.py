"""Databases that older versions left in the middle of their work are opened, upgraded and continued."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from airplane_runbooks.server import RunbookServer
from airplane_runbooks.server.storage.database import Database
from tests.support import version_1_runbooks
from tests.support.servers import Client

VERSION_1 = Path(__file__).with_name("version_1")


def restore_sqlite(folder):
    path = folder / "runbooks.db"
    with gzip.open(VERSION_1 / "runbooks.db.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    path.chmod(0o600)
    return f"sqlite:///{path}"


def restore_postgresql(url):
    import psycopg

    dump = gzip.decompress((VERSION_1 / "postgresql.sql.gz").read_bytes()).decode()
    statements = "\n".join(line for line in dump.splitlines() if not line.startswith("\\"))  # psql's own commands
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements)
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def old_database(request, tmp_path):
    if request.param == "sqlite":
        return restore_sqlite(tmp_path)
    return restore_postgresql(request.getfixturevalue("postgres_url"))


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
    """Return the IDs of the sessions by the order of their start: those that `version_1.make` has started."""
    listed = api.get("/sessions/list").json["sessions"][::-1]
    names = ["ended", "waiting", "secret", "active", "cancelling", "pending"]
    return dict(zip(names, (session["id"] for session in listed), strict=True))


def output(api, session_id):
    return api.output(api.runs(session_id)[0])


def test_sessions_of_version_1_go_on_where_they_were(api):
    ids = sessions(api)
    for name, answer in [("waiting", {"approve": True}), ("secret", {"pin": "1234"}), ("pending", {"approve": False})]:
        assert api.answer(ids[name], **answer).status == 200
    for name in ("ended", "waiting", "secret", "active", "pending"):
        api.reaches(ids[name], "Succeeded")
    api.reaches(ids["cancelling"], "Cancelled")
    assert [output(api, ids[name]) for name in ("ended", "waiting", "pending")] == [
        "refused",
        "100 for Grace",
        "refused",
    ]
    assert output(api, ids["active"]) == "done"
    assert output(api, ids["secret"]) == len("an old secret") + len("1234")
    (task,) = api.get("/runs/list", taskSlug="add").json["runs"]
    assert api.output(task) == 5


def test_steps_that_version_1_finished_are_not_repeated(api, monkeypatch):
    def look_up(customer):
        raise AssertionError(customer)

    monkeypatch.setattr(version_1_runbooks, "look_up", look_up)
    waiting = sessions(api)["waiting"]
    api.answer(waiting, approve=True)
    api.reaches(waiting, "Succeeded")
    assert len(api.runs(waiting)) == len(["refund", "look_up", "prompt"])


def test_an_upgraded_database_has_the_tables_of_a_new_one(old_database, tmp_path, request):
    new_database = "sqlite://" if old_database.startswith("sqlite") else request.getfixturevalue("another_postgres_url")

    def tables(url):
        database = Database(url)
        try:
            look = sa.inspect(database.sqlalchemy_engine)
            names = [name for name in look.get_table_names() if name.startswith("runbook_")]
            return {
                name: (
                    {column["name"]: (str(column["type"]), column["nullable"]) for column in look.get_columns(name)},
                    sorted((index["name"], tuple(index["column_names"])) for index in look.get_indexes(name)),
                )
                for name in names
            }
        finally:
            database.close()

    assert tables(old_database) == tables(new_database)
