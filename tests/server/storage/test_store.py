"""Conformance of every store: the model, SQLite in memory and in a file, and PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from airplane_runbooks.models import RunStatus
from airplane_runbooks.server.storage.conformance import StoreConformance
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.records import Run, RunKind
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.tables import KEYS, RUNS
from tests.support.model_store import ModelStore


@contextmanager
def opened(url):
    """Open a database, and close it in the end."""
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


class TestModelStore(StoreConformance):
    @pytest.fixture
    def empty(self):
        return ModelStore()


class TestStoreInMemory(StoreConformance):
    @pytest.fixture
    def empty(self):
        with opened("sqlite://") as database:
            yield SqlStore(database)


class TestStoreInFile(StoreConformance):
    @pytest.fixture
    def empty(self, tmp_path):
        with opened(f"sqlite:///{tmp_path / 'runbooks.db'}") as database:
            yield SqlStore(database)

    def test_a_reader_of_a_file_does_not_wait_for_a_writer(self, tmp_path):
        with opened(f"sqlite:///{tmp_path / 'runbooks.db'}") as database:
            store = SqlStore(database)
            store.add(Run(id="r", kind=RunKind.TASK, task_id="t", slug="a", name="A", env_slug="prod"))
            with database.write(), ThreadPoolExecutor(1) as thread:
                assert thread.submit(store.run, "r").result(100).status is RunStatus.QUEUED


@pytest.fixture(scope="module")
def on_postgres(postgres):
    """A database on PostgreSQL for all these tests, since making one takes its time."""
    url = postgres.fresh()
    with opened(url) as database:
        yield database
    postgres.drop(url)


@pytest.mark.postgres
class TestStoreOnPostgresql(StoreConformance):
    @pytest.fixture
    def empty(self, on_postgres):
        with on_postgres.write() as connection:
            for table in (RUNS, KEYS):
                connection.execute(sa.delete(table))
        return SqlStore(on_postgres)
