"""Backups of a database in a file: whole, verified, private, and never in place of something else."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
from contextlib import closing

import pytest

from airplane_runbooks.models import SessionStatus
from airplane_runbooks.server.storage import backups, sqlite
from airplane_runbooks.server.storage.backups import back_up, file_of, hold_restored, mark_restored, restore
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.errors import DatabaseError, DatabaseInUse, DatabaseTooNew
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.records import Run, RunKind, Session
from airplane_runbooks.server.storage.sql_store import SqlStore


def add(store, run_id):
    fields = {"task_id": "t", "slug": "a", "name": "A", "env_slug": "prod"}
    run = Run(id=run_id, kind=RunKind.RUNBOOK, session_id=f"ses{run_id}", **fields)
    assert store.add(run, Session(id=f"ses{run_id}", run_id=run_id, runbook_id="t", name="A"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runbooks.db"


@pytest.fixture
def database(path):
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture
def store(database):
    store = SqlStore(database)
    add(store, "r")
    return store


@pytest.fixture
def file(tmp_path):
    return tmp_path / "monday.backup"


@pytest.fixture
def saved(path, store, file):
    back_up(path, file)
    return file


def statuses(store):
    return store.run("r").held, store.session("sesr").status


def test_a_backup_is_taken_while_the_database_is_written_to(path, store, file):
    enough = threading.Event()

    def write():
        for number in range(100_000):
            if enough.is_set():
                return
            add(store, f"w{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        written = [back_up(path, file.with_suffix(f".{number}")) for number in range(3)]
    finally:
        enough.set()
        writer.join()
    for one in written:
        with closing(sqlite3.connect(one.path)) as copy:
            (sessions,) = copy.execute("SELECT count(*) FROM runbook_sessions").fetchone()
            (runs,) = copy.execute("SELECT count(*) FROM runbook_runs").fetchone()
        assert one.sessions == one.unfinished == sessions == runs


def test_a_backup_is_one_file_for_its_owner(path, store, file):
    before = os.umask(0)
    try:
        back_up(path, file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir() if file.name in one.name] == [file.name]


def test_a_backup_overwrites_nothing(path, store, file):
    file.write_text("a letter")
    with pytest.raises(DatabaseError, match="is there already, and is not overwritten"):
        back_up(path, file)
    assert file.read_text() == "a letter"


def test_a_backup_without_hard_links_overwrites_nothing(path, store, file, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    back_up(path, file)
    before = file.read_bytes()
    with pytest.raises(DatabaseError, match="is there already"):
        back_up(path, file)
    assert file.read_bytes() == before


def test_a_database_that_is_not_there_is_not_made(tmp_path, file):
    with pytest.raises(DatabaseError, match=r"there is no database .*other\.db"):
        back_up(tmp_path / "other.db", file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"a letter to a friend" * 1000])
def test_what_is_not_a_database_of_runbooks_is_refused(tmp_path, file, content):
    other = tmp_path / "other.db"
    other.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"other\.db"):
        back_up(other, file)
    with pytest.raises(DatabaseError, match=r"other\.db"):
        restore(other, tmp_path / "new.db")
    assert not file.exists()
    assert not (tmp_path / "new.db").exists()


def test_a_damaged_backup_is_refused(path, store, file, tmp_path):
    back_up(path, file)
    pages = file.read_bytes()
    file.write_bytes(pages[:8192] + os.urandom(4096 * 8) + pages[8192 + 4096 * 8 :])
    with pytest.raises(DatabaseError, match=r"monday\.backup"):
        restore(file, tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(("version", "kind"), [(1, DatabaseError), (1000, DatabaseTooNew)])
def test_a_database_of_an_unknown_version_is_refused(saved, tmp_path, version, kind):
    file = saved
    with closing(sqlite3.connect(file)) as copy, copy:
        copy.execute("UPDATE runbook_version SET version = ?", (version,))
    with pytest.raises(kind, match=f"has version {version}"):
        restore(file, tmp_path / "new.db")


def test_a_database_in_use_is_not_replaced(path, store, file):
    back_up(path, file)
    with pytest.raises(DatabaseInUse):
        restore(file, path)
    assert store.run("r").held is None


@pytest.mark.parametrize("name", ["new.db", "new.db-wal", "new.db-journal"])
def test_a_restore_does_not_touch_files_that_are_there(path, store, file, tmp_path, name):
    back_up(path, file)
    (tmp_path / name).write_text("something")
    with pytest.raises(DatabaseError, match=f"{name} is there already: move it away"):
        restore(file, tmp_path / "new.db")
    assert (tmp_path / name).read_text() == "something"


def test_a_backup_that_is_not_there_is_refused(path, file):
    with pytest.raises(DatabaseError, match=r"there is no backup .*monday\.backup"):
        restore(file, path)
    assert not path.exists()


def test_a_plain_copy_is_restored_as_a_backup_is(path, database, store, file, tmp_path):
    database.close()
    file.write_bytes(path.read_bytes())
    restore(file, new := tmp_path / "new.db")
    again = Database(f"sqlite:///{new}")
    try:
        hold_restored(again)
        assert statuses(SqlStore(again))[0] == "restored"
    finally:
        again.close()


def test_a_restored_database_holds_its_sessions_once(store, path, file, tmp_path, caplog):
    assert store.begin("r", 1) is not None
    back_up(path, file)
    restore(file, new := tmp_path / "new.db")
    again = Database(f"sqlite:///{new}")
    try:
        with caplog.at_level(logging.WARNING):
            hold_restored(again)
        assert "1 unfinished session(s) and task(s) are held" in caplog.text
        store = SqlStore(again)
        assert statuses(store) == ("restored", SessionStatus.PENDING)
        assert store.let_go("r", "restored") is not None
        hold_restored(again)
        assert statuses(store) == (None, SessionStatus.PENDING)
        assert [run.id for run in store.due(now(), 9)] == ["r"]
    finally:
        again.close()


def test_a_mark_is_put_on_a_database_that_no_server_uses(path, database, store):
    with pytest.raises(DatabaseInUse):
        mark_restored(database_url := f"sqlite:///{path}")
    database.close()
    marked = mark_restored(database_url)
    assert (marked.database, marked.sessions, marked.unfinished) == (f"sqlite:///{path}", 1, 1)
    assert mark_restored(database_url) == marked
    again = Database(database_url)
    try:
        hold_restored(again)
        assert statuses(SqlStore(again))[0] == "restored"
    finally:
        again.close()


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_mark_makes_no_database(path, content):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"there is no database|is empty: nothing was restored into it"):
        mark_restored(f"sqlite:///{path}")
    assert [one.name for one in path.parent.iterdir()] == ([] if content is None else [path.name])
    with pytest.raises(DatabaseError, match="there is no database in memory"):
        mark_restored("sqlite://")


def test_a_mark_is_for_databases_of_runbooks_alone(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE books (id)")
    with pytest.raises(DatabaseError, match="has no tables of runbooks"):
        mark_restored(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("books",)]


@pytest.mark.postgres
def test_a_mark_makes_no_tables_on_postgresql(postgres_url):
    for _ in range(2):
        with pytest.raises(DatabaseError, match="has no tables of runbooks"):
            mark_restored(postgres_url)


def test_a_refused_restore_leaves_nothing_behind(path, tmp_path):
    other = tmp_path / "other"
    other.write_text("not a database")
    target = tmp_path / "to" / "runbooks.db"
    target.parent.mkdir()
    with pytest.raises(DatabaseError, match="cannot copy the database"):
        restore(other, target)
    assert list(target.parent.iterdir()) == []
    target.with_name("runbooks.db-wal").write_text("")
    with pytest.raises(DatabaseError, match="is there already"):
        restore(other, target)
    assert [one.name for one in target.parent.iterdir()] == ["runbooks.db-wal"]


def test_a_lock_whose_file_was_removed_locks_nothing(path, monkeypatch):
    lock = path.with_name(f"{path.name}.lock")
    take = sqlite._lock

    def take_late(file):
        take(file)
        lock.unlink()
        lock.touch()

    monkeypatch.setattr(sqlite, "_lock", take_late)
    with pytest.raises(DatabaseInUse):
        sqlite.FileLock(path)


def test_databases_without_a_file_have_other_backups():
    with pytest.raises(DatabaseError, match="pg_dump and pg_restore"):
        file_of("postgresql://h/name")
    with pytest.raises(DatabaseError, match="in memory"):
        file_of("sqlite://")


@pytest.mark.postgres
def test_a_server_that_still_renews_its_row_forbids_the_mark(postgres_url, monkeypatch):
    monkeypatch.setattr(backups, "_LAPSE", 0.5)
    database = Database(postgres_url)
    try:
        with database.write() as connection:
            ahead = "now() + interval '1 hour'"  # as if it were renewed all the time
            connection.exec_driver_sql(f"INSERT INTO runbook_servers (id, seen_at) VALUES ('srv', {ahead})")
        with pytest.raises(DatabaseError, match=r"1 server\(s\) use the database: stop them first"):
            mark_restored(postgres_url)
    finally:
        database.close()
