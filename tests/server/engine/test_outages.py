"""A server's answers and readiness while its database can do nothing."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
import sqlalchemy as sa
import urllib3
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError

from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.storage import error_codes
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.errors import DatabaseError as CannotOpen
from airplane_runbooks.server.storage.errors import DatabaseUnavailable
from airplane_runbooks.server.storage.outages import Outages
from airplane_runbooks.server.storage.sql_store import SqlStore
from tests.support.servers import Client, eventually


@runbook
def echo(context: Context, text: str) -> str:
    return context.step(str, text, name="echo")


def ready(api):
    url = api.url.removesuffix("/v0") + "/readyz"
    return urllib3.request("GET", url, retries=False).status == 200


def refused(api, text="x" * 50_000):
    """Expect that a session is not taken on, and that the client learns when to try again."""
    answer = api.post("/runbooks/execute", {"slug": "echo", "paramValues": {"text": text}}, **{"Idempotency-Key": "k"})
    assert answer.status == 503, answer
    assert answer.headers["X-Airplane-Retryable"] == "true"
    assert int(answer.headers["Retry-After"]) >= 1
    assert not ready(api)
    return answer.json["error"]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "runbooks.db"


@pytest.fixture
def serving(request):
    """Serve from a database, and end with the test."""
    servers = []

    def serve(url):
        server = RunbookServer([echo], database=url, grace=1.0).start()
        client = Client(server)
        servers.append((server, client))
        return server, client

    yield serve
    for server, client in servers:
        client.close()
        server.close()


@pytest.mark.once
@pytest.mark.parametrize("how", ["is deleted", "is replaced", "is moved", "loses its folder", "loses its log"])
def test_a_file_that_goes_away_is_not_written_to_any_more(path, serving, how):
    _, api = serving(f"sqlite:///{path}")
    assert api.finishes("echo", {"text": "before"}) == "before"
    elsewhere = path.with_name("moved.db")
    match how:
        case "is deleted":
            path.unlink()
        case "is replaced":
            path.rename(elsewhere)
            shutil.copy(elsewhere, path)
        case "is moved":
            path.rename(elsewhere)
        case "loses its folder":
            shutil.rmtree(path.parent)
        case "loses its log":
            path.with_name("runbooks.db-wal").unlink()
    refused(api)
    refused(api)
    if how == "is moved":
        elsewhere.rename(path)
        assert api.finishes("echo", {"text": "after"}) == "after"
        eventually(lambda: ready(api))


def test_a_file_survives_that_its_connections_come_and_go(path):
    database = Database(f"sqlite:///{path}")
    for _ in range(3):
        database.sqlalchemy_engine.dispose()
        database.transact(lambda connection: connection.exec_driver_sql("SELECT 1"))
    database.close()


@pytest.mark.once
def test_a_full_disk_is_reported_until_it_has_room_again(path, serving, caplog):
    server, api = serving(f"sqlite:///{path}")
    assert api.finishes("echo", {"text": "before"}) == "before"
    engine = server._lifecycle.services.store.database.sqlalchemy_engine
    full = []

    def limit(connection, *_):
        size = connection.execute("PRAGMA page_count").fetchone()[0] if full else 1_000_000_000
        connection.execute(f"PRAGMA max_page_count = {size}")

    sa.event.listen(engine, "checkout", limit)
    full.append(True)
    assert refused(api) == "the disk of the database is full"
    (line, *_) = (one for one in caplog.messages if "SQLITE_FULL" in one)
    assert line.startswith("the disk of the database is full (SQLITE_FULL): OperationalError at ")
    full.clear()
    assert api.finishes("echo", {"text": "after"}) == "after"
    eventually(lambda: ready(api))


@pytest.mark.once
def test_a_file_that_became_read_only_is_reported(path, serving):
    server, api = serving(f"sqlite:///{path}")
    engine = server._lifecycle.services.store.database.sqlalchemy_engine

    def forbid(connection, *_):
        connection.execute("PRAGMA query_only = ON")

    sa.event.listen(engine, "checkout", forbid)
    assert refused(api) == "the database is read-only"
    sa.event.remove(engine, "checkout", forbid)


@pytest.mark.once
@pytest.mark.postgres
def test_the_log_has_few_lines_of_an_outage_and_its_end(serving, postgres, postgres_url, caplog):
    caplog.set_level("INFO")
    _, api = serving(postgres_url)
    assert api.finishes("echo", {"text": "before"}) == "before"
    postgres.stop()
    try:
        refused(api)
        refused(api)
    finally:
        postgres.start()
    eventually(lambda: "the database answers again after" in caplog.text, deadline=100)
    assert 0 < sum(one.levelname == "ERROR" for one in caplog.records) < 8
    assert len(caplog.messages) - len(set(caplog.messages)) < 8
    assert "cannot drop" not in "".join(one.message for one in caplog.records if one.levelname == "ERROR")


@pytest.mark.postgres
def test_sessions_go_on_after_postgresql_was_read_only(serving, postgres, postgres_url):
    _, api = serving(postgres_url)
    assert api.finishes("echo", {"text": "before"}) == "before"
    name = postgres_url.partition("?")[0].rpartition("/")[2]

    def turn(state):
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        postgres.execute(cut)

    turn("on")
    refused(api)
    turn("off")
    answer = eventually(
        lambda: (
            (one := api.post("/runbooks/execute", {"slug": "echo", "paramValues": {"text": "y"}})).status == 200 and one
        )
    )
    api.reaches(answer.json["sessionID"], "Succeeded")
    eventually(lambda: ready(api))


def postgres_error(state):
    class Error(Exception):
        sqlstate = state

    return Error("trouble")


@pytest.mark.parametrize(
    ("state", "unavailable", "passing"),
    [
        ("25006", True, False),  # read_only_sql_transaction
        ("53100", True, False),  # disk_full
        ("53200", True, False),  # out_of_memory
        ("53300", True, True),  # too_many_connections
        ("57P01", True, True),  # admin_shutdown
        ("57P03", True, True),  # cannot_connect_now
        ("57014", True, False),  # query_canceled: a statement's timeout
        ("55P03", True, True),  # lock_not_available
        ("40P01", True, True),  # deadlock_detected
        ("58030", True, False),  # io_error
        ("42501", True, False),  # insufficient_privilege
        ("42601", False, False),  # syntax_error
        ("22021", False, False),  # character_not_in_repertoire
    ],
)
def test_errors_of_postgresql_are_told_apart_by_their_state(state, unavailable, passing):
    for kind in (InternalError, OperationalError, DatabaseError):
        problem = kind("SELECT 1", {}, postgres_error(state))
        assert (error_codes.is_unavailable(problem), error_codes.is_passing(problem)) == (unavailable, passing)


@pytest.mark.parametrize(
    ("code", "unavailable"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_READONLY_DBMOVED, True),
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_MISMATCH, False),
    ],
)
def test_errors_of_sqlite_are_told_apart_by_their_code(code, unavailable):
    own = sqlite3.DatabaseError("trouble")
    own.sqlite_errorcode = code
    assert error_codes.is_unavailable(DatabaseError("SELECT 1", {}, own)) is unavailable


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (postgres_error("53100"), "the disk of the database is full (SQLSTATE 53100)"),
        (postgres_error("57P01"), "the database is stopping or starting (SQLSTATE 57P01)"),
        (postgres_error("42601"), "the database does not answer (SQLSTATE 42601)"),
        (Exception("FATAL: sorry, too many clients already"), "the database has too many connections"),
        (Exception("no route to ada@example.com"), "the database does not answer"),
    ],
    ids=str,
)
def test_an_outage_is_told_by_what_its_error_means(problem, said, caplog):
    unavailable = Outages().report(OperationalError("SELECT secret", {"a": "value"}, problem))

    assert str(unavailable) == said.partition(" (")[0]
    assert caplog.messages == [f"{said}: Exception" if type(problem) is Exception else f"{said}: Error"]


class Times:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self):
        return self.now


def test_an_outage_is_told_once_in_a_minute_with_a_count(caplog):
    times = Times()
    outages = Outages(times)
    for _ in range(240):
        outages.report(OperationalError("SELECT 1", {}, Exception("gone")))
        times.now += 0.5
    outages.report(OperationalError("SELECT 1", {}, postgres_error("57P03")))
    assert caplog.messages == [
        "the database does not answer: Exception",
        "the database does not answer: Exception (120 times since this was said last)",
        "the database is stopping or starting (SQLSTATE 57P03): Error",
    ]


def test_the_end_of_an_outage_is_told_with_its_length(caplog):
    caplog.set_level("INFO")
    times = Times()
    outages = Outages(times)
    outages.answered()
    assert caplog.messages == []
    outages.report(OperationalError("SELECT 1", {}, Exception("gone")))
    times.now += 33
    outages.report(OperationalError("SELECT 1", {}, Exception("gone")))
    times.now += 0.5
    outages.answered()  # another thread may still be about to fail
    times.now += 0.6
    outages.answered()
    outages.answered()
    assert caplog.messages[1:] == ["the database answers again after 34 s"]
    outages.report(OperationalError("SELECT 1", {}, Exception("gone")))
    assert caplog.messages[2:] == ["the database does not answer: Exception"]


def test_what_is_read_from_a_full_disk_does_not_end_its_outage(caplog):
    caplog.set_level("INFO")
    times = Times()
    outages = Outages(times)
    for _ in range(10):
        outages.report(OperationalError("SELECT 1", {}, postgres_error("53100")))
        times.now += 2
        outages.answered()
    assert len(caplog.messages) == 1


def test_every_state_that_is_an_outage_has_a_meaning():
    for state in error_codes._UNAVAILABLE:
        problem = OperationalError("", {}, postgres_error(state))
        assert error_codes.meaning(problem) != error_codes.NO_ANSWER, state
    for code in error_codes._SQLITE_UNAVAILABLE:
        assert code in error_codes._SQLITE_MEANINGS


def test_a_damaged_file_is_told_at_the_start(path):
    with RunbookServer([echo], database=f"sqlite:///{path}") as server:
        api = Client(server)
        for _ in range(20):
            assert api.finishes("echo", {"text": "x" * 500}) == "x" * 500
        api.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))
    with pytest.raises(CannotOpen, match=r"are damaged|malformed"):
        RunbookServer([echo], database=f"sqlite:///{path}").start()


def test_a_store_that_cannot_be_written_to_says_so(path):
    database = Database(f"sqlite:///{path}")
    database.probe()
    path.unlink()
    with pytest.raises(DatabaseUnavailable, match="file"):
        database.probe()
    with pytest.raises(DatabaseUnavailable, match="file"):
        SqlStore(database).cancel("nothing", "me")
    database.close()
