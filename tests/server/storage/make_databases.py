"""Makes databases of today's version: each is left by a server that is killed in the middle of its work.

    python -m tests.server.storage.make_databases FOLDER

To be run before the tables change, with `version_N` as the folder, and never again for a folder that is there: these
databases are for being old. The SQLite file is compressed, and so is what `pg_dump --no-owner --inserts` writes.
"""

from __future__ import annotations

import gzip
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from airplane_runbooks.server import RunbookServer
from airplane_runbooks.server.storage.tables import RUNS
from tests.support import version_1_runbooks
from tests.support.postgres import running
from tests.support.servers import Client, eventually


def work_until_killed(database: str) -> None:
    """Start sessions, bring them to where they are to be found, and end without any notice."""
    os.environ["RUNBOOK_LINGER_UNTIL"] = "/nowhere"
    server = RunbookServer(
        [version_1_runbooks.refund, version_1_runbooks.unlock, version_1_runbooks.wait_long],
        [version_1_runbooks.add],
        database=database,
        api_key=version_1_runbooks.API_KEY,
        encryption_key=version_1_runbooks.ENCRYPTION_KEY,
        workers=2,
    ).start()
    api, store = Client(server), server._lifecycle.services.store
    ended = api.execute("refund", {"customer": "Ada", "amount": 5})
    assert api.answer(ended, approve=False).status == 200
    api.reaches(ended, "Succeeded")
    task = api.post("/tasks/execute", {"slug": "add", "paramValues": {"a": 2, "b": 3}}).json["runID"]
    eventually(lambda: api.get("/runs/get", id=task).json["status"] == "Succeeded")
    waiting = api.execute("refund", {"customer": "Grace"}, **{"Idempotency-Key": "a-settled-key"})
    secret = api.execute("unlock", {"token": "an old secret"})
    held = api.execute("refund", {"customer": "Barbara"})
    for session_id in (waiting, secret, held):
        api.reaches(session_id, "Waiting")
    active, cancelling = (api.execute("wait_long") for _ in range(2))
    for session_id in (active, cancelling):
        eventually(lambda session_id=session_id: len(api.runs(session_id)) == 2)
    api.post("/runs/cancel", {"id": api.runs(cancelling)[0]["id"]})
    api.reaches(cancelling, "Cancelling")
    pending = api.execute("refund", {"customer": "Linus"})
    store.keys.claim("an-unsettled-key", b"fingerprint")  # as a server of version 1 would leave it
    with store.database.write() as connection:  # as if no server had the code
        connection.execute(sa.update(RUNS).where(RUNS.c.id == store.session(held).run_id), {"held": "code"})
    for session_id in (ended, waiting, secret, held, active, cancelling, pending):
        sys.stdout.write(f"{session_id} {api.session(session_id)['status']}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def make(database: str) -> None:
    child = subprocess.run([sys.executable, "-m", __spec__.name, "--work", database], check=False)
    assert child.returncode == -signal.SIGKILL


def main(folder: Path) -> None:
    folder.mkdir()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "runbooks.db"
        make(f"sqlite:///{path}")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (folder / "runbooks.db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    with running() as postgres:
        url = postgres.fresh()
        make(url)
        dump = subprocess.run(["pg_dump", "--no-owner", "--inserts", url], capture_output=True, check=True)
        (folder / "postgresql.sql.gz").write_bytes(gzip.compress(dump.stdout, mtime=0))


if __name__ == "__main__":
    if sys.argv[1] == "--work":
        work_until_killed(sys.argv[2])
    else:
        main(Path(sys.argv[1]))
