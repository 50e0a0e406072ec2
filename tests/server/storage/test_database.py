from __future__ import annotations

import gc
import os
import signal
import sqlite3
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from airplane_runbooks.server.storage import postgresql
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.errors import (
    DatabaseError,
    DatabaseInUse,
    DatabaseTooNew,
    DatabaseUnavailable,
)
from airplane_runbooks.server.storage.migrations import UPGRADES
from airplane_runbooks.server.storage.prepared import change, fetch, first, later
from airplane_runbooks.server.storage.records import Run, RunKind, Session
from airplane_runbooks.server.storage.rows import PROMPT_ROWS, RUN_ROWS, SESSION_ROWS
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.statements import ADD_RUN, ADD_SESSION, BRIEF_RUNS, CHANGE_RUN, GET_SESSION
from airplane_runbooks.server.storage.tables import (
    METADATA,
    PROMPTS,
    RUNS,
    SESSIONS,
    VERSIONS,
)
from tests.support.processes import running

RUN_COLUMNS = list(Run.__struct_fields__)
POSTGRES = pytest.mark.postgres

HOLDER = """
import sys
from airplane_runbooks.server.storage.database import Database
database = Database(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def run(run_id):
    return Run(id=run_id, kind=RunKind.TASK, task_id="t", slug="a", name="A", env_slug="prod")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runbooks.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=POSTGRES)])
def any_url(request):
    """The URL of an empty database of each kind."""
    if request.param == "memory":
        return "sqlite://"
    return request.getfixturevalue("url" if request.param == "file" else "postgres_url")


@pytest.fixture(params=["file", pytest.param("postgres", marks=POSTGRES)])
def lasting_url(request):
    """The URL of an empty database of each kind that outlives its process."""
    return request.getfixturevalue("url" if request.param == "file" else "postgres_url")


@pytest.fixture
def opened():
    """Opens databases and closes them in the end."""
    databases = []

    def open_(url, *more):
        databases.append(Database(url, *more))
        return databases[-1]

    yield open_
    for database in databases:
        database.close()


def open_files(path):
    """Count this process's open files of the database itself."""
    return sum(one.resolve() == path.resolve() for one in Path("/proc/self/fd").iterdir())


@pytest.fixture
def held(url):
    """Another process that has the file open."""
    with running([sys.executable, "-c", HOLDER, url]) as process:
        assert process.stdout.readline() == "open\n"
        yield process


def test_written_rows_are_there_when_the_database_is_reopened(opened, lasting_url):
    first = opened(lasting_url)
    assert SqlStore(first).add(run("r"))
    kept = SqlStore(first).run("r")
    first.close()
    assert SqlStore(opened(lasting_url)).run("r") == kept


def test_a_database_in_memory_is_its_own(opened):
    first, second = opened("sqlite://"), opened("sqlite:///:memory:")
    SqlStore(first).add(run("r"))
    assert SqlStore(second).run("r") is None
    assert (first.path, first.is_shared, first.dialect, first.url) == (None, False, "sqlite", "sqlite://")


def test_a_file_says_where_it_is(opened, path, url):
    database = opened(url)
    assert (database.path, database.is_shared, database.url) == (path, False, url)
    assert repr(database) == f"Database('{url}')"


def test_a_relative_path_means_the_same_file_for_good(opened, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    database = opened("sqlite:///runbooks.db")
    monkeypatch.chdir("/")
    SqlStore(database).add(run("r"))
    assert database.path == path
    assert path.exists()


def test_files_are_for_their_owner_only(opened, path, url):
    umask = os.umask(0)
    try:
        SqlStore(opened(url)).add(run("r"))
    finally:
        os.umask(umask)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [f"runbooks.db{end}" for end in ("", "-shm", "-wal", ".lock")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_that_is_open_to_others_is_named(opened, path, url, caplog):
    opened(url).close()
    assert caplog.text == ""
    path.chmod(0o640)
    opened(url).close()
    assert f"{path} is open to others (640), and holds data of runbooks: chmod 600 {path}" in caplog.text
    path.chmod(0o600)
    caplog.clear()
    opened(url).close()
    assert caplog.text == ""


def test_a_commit_waits_for_the_disk(opened, url):
    with opened(url).read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_second_process_is_told_who_has_the_file(held, path, url):
    with pytest.raises(DatabaseInUse, match=f"{path} is in use by process {held.pid}") as raised:
        Database(url)
    assert (raised.value.path, raised.value.pid) == (path, held.pid)
    assert path.stat().st_size > 0


def test_a_killed_process_leaves_the_file_to_the_next(held, opened, url):
    held.send_signal(signal.SIGKILL)
    held.wait()
    assert SqlStore(opened(url)).add(run("r"))


def test_a_second_server_on_a_file_is_refused_under_any_name(opened, path, url):
    first = opened(url)
    path.with_name("link.db").symlink_to(path)
    for name in (url, f"sqlite:///{path.parent}/./link.db"):
        with pytest.raises(DatabaseInUse, match=f"process {os.getpid()}"):
            Database(name)
    first.close()
    opened(url)


def test_a_lock_without_a_process_number_names_nobody(opened, path, url):
    opened(url)
    path.with_name("runbooks.db.lock").write_text("")
    with pytest.raises(DatabaseInUse, match="by another server"):
        Database(url)


def test_a_child_process_does_not_inherit_the_file(opened, url):
    first = opened(url)
    with running([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False):
        first.close()
        opened(url)


def test_a_read_during_closing_leaves_no_connection_open(opened, url, path):
    database = opened(url)
    with database.read() as connection:
        database.close()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert open_files(path) > 0
    assert open_files(path) == 0


def test_whoever_forgets_to_close_leaves_nothing_locked(opened, url):
    database = Database(url)
    SqlStore(database).add(run("r"))
    del database
    gc.collect()
    assert SqlStore(opened(url)).run("r") is not None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "runbooks.db",
        "sqlite:/runbooks.db",
        "sqlite://runbooks.db",
        "sqlite:///runbooks.db?mode=ro",
        "sqlite:///file:runbooks.db?uri=true",
        "mysql://u:hunter2@localhost/x",
        "postgresql+asyncpg://u:hunter2@localhost/x",
        "postgresql://u:hunter2@localhost:port/x",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_shown(url):
    with pytest.raises(DatabaseError) as raised:
        Database(url)
    assert "hunter2" not in str(raised.value)
    assert "sqlite:///path" in str(raised.value) or "question mark" in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["missing/runbooks.db", "", "file/runbooks.db"])
def test_a_path_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    path = tmp_path / name
    with pytest.raises(DatabaseError, match=f"cannot open the database {path}: [NI]"):
        Database(f"sqlite:///{path}")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder here refuses even root")
def test_a_folder_that_takes_no_files_is_no_place():
    with pytest.raises(DatabaseError, match=r"cannot open the database /proc/runbooks\.db"):
        Database("sqlite:////proc/runbooks.db")


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\1" * 5000])
def test_a_file_that_is_no_database_is_left_alone(path, url, content):
    path.write_bytes(content)
    for _ in range(2):  # and not left locked
        with pytest.raises(DatabaseError, match=r"not a database|malformed|disk I/O|unable to open"):
            Database(url)
    assert path.read_bytes() == content


def test_an_unreachable_server_is_named_without_its_password():
    url = "postgresql://me:hunter%402@127.0.0.1:1/x?sslpassword=hunter3"
    with pytest.raises(DatabaseUnavailable, match=r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/x") as raised:
        Database(url)
    assert "hunter" not in f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r}"


@POSTGRES
def test_a_database_that_does_not_exist_is_named(postgres):
    with pytest.raises(DatabaseError, match="does not exist"):
        Database(postgres.url("nope"))


@POSTGRES
@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_password_is_never_shown(opened, postgres_url, scheme, caplog):
    caplog.set_level("DEBUG")
    database = opened(postgres_url.replace("postgresql://postgres@", f"{scheme}://postgres:hunter2@"))
    SqlStore(database).add(run("r"))
    shown = f"{database!r} {database.url} {database.sqlalchemy_engine!r} {caplog.text}"
    assert "hunter2" not in shown
    assert database.is_shared
    assert database.path is None
    assert database.dialect == "postgresql"


def test_parameters_are_not_shown_by_errors(opened, any_url):
    database = opened(any_url)
    with pytest.raises(IntegrityError) as raised, database.write() as connection:
        connection.execute(sa.insert(PROMPTS), {**dict.fromkeys(PROMPTS.c.keys(), None), "description": "hunter2"})
    assert "hunter2" not in str(raised.value).partition("DETAIL")[0]


def test_a_prepared_statement_fails_like_any_other(opened, any_url):
    database = opened(any_url)
    values = {**dict.fromkeys(SESSIONS.c.keys(), None), "name": "hunter2"}
    with pytest.raises(IntegrityError) as raised, database.write() as connection:
        change(connection, ADD_SESSION, values)
    assert "hunter2" not in str(raised.value).partition("DETAIL")[0]
    with database.read() as connection:
        assert first(connection, GET_SESSION, {"key": "s"}) is None
        assert fetch(connection, GET_SESSION, {"key": "s"}) == []


def test_a_transaction_that_fails_leaves_nothing_behind(opened, any_url):
    database = opened(any_url)

    def add_and_fail(connection):
        connection.execute(sa.insert(RUNS), RUN_ROWS.row(run("r")))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(add_and_fail)
    store = SqlStore(database)
    assert store.run("r") is None
    assert store.add(run("r"))


def test_many_threads_write_without_losing_any(opened, any_url):
    database = opened(any_url)
    store = SqlStore(database)
    store.add(run("r"))

    def count(_):
        with database.write() as connection:
            before = connection.scalar(sa.select(RUNS.c.attempt).with_for_update())
            connection.execute(sa.update(RUNS).values(attempt=before + 1))
            return store.run("r") if database.path or database.is_shared else None

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(count, range(80)))
    assert store.run("r").attempt == 81


def test_a_closed_database_is_refused_and_closes_again(opened, any_url):
    database = opened(any_url)
    store = SqlStore(database)
    database.close()
    database.close()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        store.run("r")
    with pytest.raises(DatabaseUnavailable, match="closed"):
        store.add(run("r"))


def test_closing_waits_for_what_is_being_written(opened, url):
    database = opened(url)
    entered, leave = threading.Event(), threading.Event()

    def write():
        with database.write() as connection:
            connection.execute(sa.insert(RUNS), RUN_ROWS.row(run("r")))
            entered.set()
            assert leave.wait(100)

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write)
        assert entered.wait(100)
        closing = threads.submit(database.close)
        with pytest.raises(DatabaseInUse):
            Database(url)
        leave.set()
        writing.result()
        closing.result()
    assert SqlStore(opened(url)).run("r") is not None


TODAY = 1 + len(UPGRADES)


def add_colour(connection):
    connection.exec_driver_sql("ALTER TABLE runbook_runs ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'")


def break_off(connection):
    add_colour(connection)
    raise ZeroDivisionError


def version(database):
    with database.read() as connection:
        return connection.scalars(sa.select(VERSIONS.c.version)).all()


def test_an_older_database_is_upgraded_once(opened, lasting_url):
    first = opened(lasting_url)
    SqlStore(first).add(run("r"))
    assert version(first) == [TODAY]
    first.close()
    for _ in range(2):
        second = opened(lasting_url, [*UPGRADES, add_colour])
        assert version(second) == [TODAY + 1]
        with second.read() as connection:
            assert connection.exec_driver_sql("SELECT id, colour FROM runbook_runs").all() == [("r", "red")]
        second.close()
    for _ in range(2):
        with pytest.raises(DatabaseTooNew, match=f"version {TODAY + 1}"):
            Database(lasting_url)
    third = opened(lasting_url, [*UPGRADES, add_colour])
    assert SqlStore(third).run("r").id == "r"


def test_an_upgrade_that_fails_changes_nothing(opened, lasting_url):
    opened(lasting_url).close()
    with pytest.raises(ZeroDivisionError):
        Database(lasting_url, [*UPGRADES, break_off])
    opened(lasting_url, [*UPGRADES, add_colour])


def test_tables_of_others_are_left_alone(opened, path, url):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE others (id)")
        connection.execute("INSERT INTO others VALUES (1)")
    connection.close()
    with opened(url).read() as connection:
        assert connection.exec_driver_sql("SELECT id FROM others").all() == [(1,)]
    assert all(name.startswith("runbook_") for name in METADATA.tables)


@POSTGRES
def test_servers_that_start_together_make_the_tables_once(postgres_url):
    barrier = threading.Barrier(6)

    def start(_):
        barrier.wait(100)
        database = Database(postgres_url, [*UPGRADES, add_colour])
        try:
            return version(database)
        finally:
            database.close()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(start, range(6))) == [[TODAY + 1]] * 6
        opened = threads.submit(lambda: Database(postgres_url, [*UPGRADES, add_colour]))
        opened.result().close()


@POSTGRES
def test_a_lost_connection_is_replaced(opened, postgres, postgres_url):
    store = SqlStore(opened(postgres_url))
    store.add(run("r0"))
    for number in range(1, 4):
        with store.database.read() as one, store.database.write() as other:
            pids = [connection.scalar(sa.select(sa.func.pg_backend_pid())) for connection in (one, other)]
        for pid in pids:
            postgres.execute(f"SELECT pg_terminate_backend({pid})")
        assert store.run(f"r{number - 1}").id == f"r{number - 1}"
        assert store.add(run(f"r{number}"))


@POSTGRES
@pytest.mark.parametrize(("idle", "pings"), [(3600.0, 0), (-1.0, 3)])
def test_only_an_idle_connection_is_tried_before_its_use(opened, postgres_url, monkeypatch, idle, pings):
    database = opened(postgres_url)
    dialect = database.sqlalchemy_engine.dialect
    tried = []
    monkeypatch.setattr(postgresql, "IDLE", idle)
    monkeypatch.setattr(dialect, "do_ping", tried.append)
    for _ in range(3):
        database.query(lambda connection: connection.exec_driver_sql("SELECT 1"))
    assert len(tried) == pings


def test_connections_of_one_rush_are_kept_for_the_next(opened, lasting_url):
    database, made = opened(lasting_url), []
    sa.event.listen(database.sqlalchemy_engine, "connect", lambda *_: made.append(1))
    all_have_one = threading.Barrier(20)
    for _ in range(2):
        with ThreadPoolExecutor(20) as pool:
            reads = [pool.submit(database.query, lambda _: all_have_one.wait(100)) for _ in range(20)]
            for read in reads:
                read.result()
    assert len(made) == 19  # and the one that opened the database


@POSTGRES
@pytest.mark.parametrize("idle", [3600.0, -1.0])
def test_no_caller_notices_that_all_connections_are_lost(opened, postgres, postgres_url, monkeypatch, idle):
    monkeypatch.setattr(postgresql, "IDLE", idle)
    store = SqlStore(opened(postgres_url))
    with ExitStack() as stack:
        connections = [stack.enter_context(store.database.read()) for _ in range(8)]
        pids = [connection.scalar(sa.select(sa.func.pg_backend_pid())) for connection in connections]
    for pid in pids:
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
    assert store.add(run("r"))
    assert store.run("r") is not None


@POSTGRES
def test_a_transaction_that_loses_its_connection_is_repeated(opened, postgres, postgres_url):
    database = opened(postgres_url)
    pids = []

    def add(connection):
        connection.execute(sa.insert(RUNS), RUN_ROWS.row(run("r")))
        pids.append(connection.scalar(sa.select(sa.func.pg_backend_pid())))
        if len(pids) == 1:
            postgres.execute(f"SELECT pg_terminate_backend({pids[0]})")
        return connection.scalar(sa.select(sa.func.count()).select_from(RUNS))

    assert database.transact(add) == 1
    assert len(pids) == len(set(pids)) == 2


@POSTGRES
def test_a_commit_that_breaks_off_is_not_repeated(opened, postgres_url):
    """It may have come through, and what was done once must not be done twice."""
    database = opened(postgres_url)
    with database.write() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER leaves AFTER INSERT ON runbook_runs DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION leave()"
        )
    calls = []

    def add(connection):
        calls.append(1)
        change(connection, ADD_RUN, RUN_ROWS.row(run("r")))

    with pytest.raises(DatabaseUnavailable):
        database.transact(add)
    assert len(calls) == 1
    assert SqlStore(database).run("r") is None


def test_what_fails_with_the_commit_fails_the_transaction(opened, any_url):
    database = opened(any_url)

    def add(connection):
        later(connection, ADD_RUN, RUN_ROWS.row(run("r")))
        later(connection, ADD_SESSION, SESSION_ROWS.row(Session(id="s", run_id="none", runbook_id="b", name="B")))

    with pytest.raises(IntegrityError):
        database.transact(add)
    assert SqlStore(database).run("r") is None
    assert SqlStore(database).add(run("r"))


def test_statements_keep_their_order_however_they_go(opened, any_url):
    """Some wait for others, and some are executed by SQLAlchemy."""
    database = opened(any_url)
    with database.write() as connection:
        later(connection, ADD_RUN, RUN_ROWS.row(run("r")))
        connection.execute(sa.update(RUNS).values(attempt=5))
        later(connection, CHANGE_RUN, {"key": "r", "attempt": 6})
        assert fetch(connection, BRIEF_RUNS, {"ids": ["r"]})[0][RUN_COLUMNS.index("attempt")] == 6
        assert change(connection, CHANGE_RUN, {"key": "r", "attempt": 7}) == 1
        later(connection, CHANGE_RUN, {"key": "r", "name": "last"})
    kept = SqlStore(database).run("r")
    assert (kept.attempt, kept.name) == (7, "last")


def test_values_larger_than_what_a_socket_takes_at_once(opened, any_url):
    store, output = SqlStore(opened(any_url)), b'"' + b"x" * (8 * 1024 * 1024) + b'"'
    large = msgspec.structs.replace(run("r"), output=output, param_values=output)
    assert store.transact(lambda joined: [joined.add(large), joined.add(run("s"))]) == [True, True]
    assert (store.run("r").output, store.run("r").param_values) == (output, output)


@POSTGRES
def test_deadlocked_transactions_all_come_through(opened, postgres_url):
    database = opened(postgres_url)
    store = SqlStore(database)
    store.add(run("a"))
    store.add(run("b"))
    both = threading.Barrier(2)
    attempts = []

    def cross(first, second):
        def work(connection):
            attempts.append(first)
            for run_id in (first, second):
                change = sa.update(RUNS).where(RUNS.c.id == run_id).values(attempt=RUNS.c.attempt + 1)
                connection.execute(change)
                if run_id == first and len(attempts) <= 2:
                    both.wait(100)

        database.transact(work)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(cross, "ab", "ba"))
    assert len(attempts) == 3
    assert (store.run("a").attempt, store.run("b").attempt) == (3, 3)


@POSTGRES
def test_a_database_that_comes_back_works_again(opened, postgres, postgres_url, caplog):
    store = SqlStore(opened(postgres_url))
    store.add(run("r"))
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailable) as raised:
            store.run("r")
        with pytest.raises(DatabaseUnavailable):
            store.add(run("s"))
    finally:
        postgres.start()
    assert (raised.value.status, raised.value.retryable) == (503, True)
    assert str(raised.value) == "the database does not answer"
    assert "the database does not answer: OperationalError" in caplog.text
    assert store.run("r").id == "r"
    assert store.run("s") is None


def test_a_file_locked_by_others_is_reported(opened, path, url):
    database = opened(url)
    with database.write() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable):
        SqlStore(database).add(run("r"))
    stranger.close()
    assert SqlStore(database).add(run("r"))


@pytest.mark.parametrize(("rows", "table"), [(RUN_ROWS, RUNS), (SESSION_ROWS, SESSIONS), (PROMPT_ROWS, PROMPTS)])
def test_every_field_of_a_record_has_its_column(rows, table):
    assert {column.key for column in rows.columns} | {"seq"} == set(table.c.keys())
