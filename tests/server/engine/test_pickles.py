"""A writer to the database cannot have code executed by the servers on it."""

from __future__ import annotations

import base64
import os
import pickle

import pytest
import sqlalchemy as sa
from dbos import _serialization

from airplane_runbooks.server.engine.dbos import QUEUE, SCHEMA, DbosEngine
from airplane_runbooks.server.engine.unpickling import PickleRefused
from airplane_runbooks.server.storage.tables import SERVERS
from tests.support.engines import Worker
from tests.support.servers import eventually

pytestmark = [pytest.mark.once, pytest.mark.postgres]


class Canary:
    """Makes a directory when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def canary(tmp_path):
    """The path that appears once something has been unpickled, and the pickle that makes it appear."""
    path = tmp_path / "unpickled"
    return path, base64.b64encode(pickle.dumps({"args": (Canary(path),), "kwargs": {}})).decode()


@pytest.fixture
def database(postgres_url):
    database = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    SERVERS.create(database)
    yield database
    database.dispose()


@pytest.fixture
def opened(database):
    engines = []

    def open_one(work):
        for engine in engines:
            engine.close(5)
        engines.append(DbosEngine(database, 4))
        engines[-1].open(work)
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close(5)


def tamper(database, pickled, **columns):
    """Change the rows of the job `a.1` to those of a pickle, wherever DBOS looks for its input and its end."""
    columns = {"serialization": "py_pickle", "inputs": pickled, **columns}
    with database.begin() as connection:
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        connection.execute(
            sa.text(f"UPDATE {SCHEMA}.workflow_status SET {changes} WHERE workflow_uuid = 'a.1'"), columns
        )
        for table, names in (("workflow_input", {"inputs"}), ("workflow_output", {"output", "error"})):
            for name in names & columns.keys():
                statement = f"UPDATE {SCHEMA}.{table} SET {name} = :it WHERE workflow_uuid = 'a.1'"
                connection.execute(sa.text(statement), {"it": pickled})


def status(database):
    with database.connect() as connection:
        return connection.scalar(sa.text(f"SELECT status FROM {SCHEMA}.workflow_status WHERE workflow_uuid = 'a.1'"))


def worked_once(opened, database):
    work = Worker()
    engine = opened(work)
    engine.start("a.1")
    eventually(lambda: status(database) == "SUCCESS")
    return engine, work


def test_a_job_whose_input_is_a_pickle_is_done_without_it(opened, database, canary):
    path, pickled = canary
    engine, _ = worked_once(opened, database)
    engine.close(5)
    tamper(database, pickled, status="PENDING")
    again = Worker()
    engine = opened(again)
    eventually(lambda: engine.recover(["a.1"]) or again.calls["a.1"] == 1, deadline=100)
    eventually(lambda: status(database) == "SUCCESS")
    assert not path.exists()


def test_a_pickle_in_the_queue_of_a_running_server_is_refused(opened, database, canary):
    path, pickled = canary
    engine, work = worked_once(opened, database)
    tamper(database, pickled, status="ENQUEUED", queue_name=QUEUE)
    eventually(lambda: status(database) == "ERROR", deadline=100)
    assert work.calls["a.1"] == 1
    eventually(lambda: engine.recover(["a.1"]) or work.calls["a.1"] == 2, deadline=100)
    assert not path.exists()


@pytest.mark.parametrize(("state", "column"), [("SUCCESS", "output"), ("ERROR", "error")])
def test_a_pickle_as_the_end_of_a_job_is_refused(opened, database, canary, state, column):
    path, pickled = canary
    engine, work = worked_once(opened, database)
    tamper(database, pickled, **{column: pickled}, status=state)
    engine.start("a.1")
    engine.recover([])
    eventually(lambda: engine.recover(["a.1"]) or work.calls["a.1"] == 2, deadline=100)
    assert not path.exists()


def test_dbos_reads_pickles_only_while_no_server_is_open(opened, canary):
    path, pickled = canary
    engine = opened(Worker())
    ours = _serialization.DBOSPortableJSON
    for read in (
        _serialization.deserialize_args,
        _serialization.deserialize_value,
        _serialization.deserialize_exception,
    ):
        with pytest.raises(PickleRefused):
            read(pickled, "py_pickle", ours)
    with pytest.raises(PickleRefused):
        _serialization.deserialize_value(pickled, None, _serialization.DefaultSerializer())
    engine.close(5)
    assert not path.exists()
    _serialization.deserialize_args(pickled, "py_pickle", ours)  # the application's own business again
    assert path.exists()
