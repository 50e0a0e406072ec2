"""Connections to a PostgreSQL whose host vanishes, in a network namespace: `unshare --net python -m <this module>`.

Prints the seconds until an error: of a statement that waits while the path is dropped, and of one after that.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from airplane_runbooks.server.storage.postgresql import _engine
from tests.support.postgres import Postgres, running
from tests.transports.urllib3.dropped_path import SERVER, drop_path, restore_path, set_up


def let_in(postgres: Postgres) -> None:
    """Let connections in by way of the network."""
    postgres.execute(f"COPY (SELECT 'host all all {SERVER}/24 trust') TO PROGRAM 'cat >> pg_hba.conf'")
    postgres.execute("SELECT pg_reload_conf()")


def seconds_to_an_error(connection: sa.Connection, statement: str) -> float:
    began = time.monotonic()
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        return round(time.monotonic() - began, 1)
    raise AssertionError("the path was not dropped")


def main() -> None:
    set_up()
    restore_path()
    with running(listen_addresses=SERVER) as postgres:
        let_in(postgres)
        engine = _engine(sa.make_url(f"postgresql+psycopg://postgres@{SERVER}/postgres"))
        with engine.connect() as waiting, engine.connect() as idle:
            idle.exec_driver_sql("SELECT 1")
            threading.Timer(1, drop_path).start()
            results = {
                "waiting": seconds_to_an_error(waiting, "SELECT pg_sleep(100)"),
                "idle": seconds_to_an_error(idle, "SELECT 1"),
            }
        restore_path()
        engine.dispose()
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
