"""Makes the databases of this folder: a server that is killed in the middle of its work.

    python -m tests.server.storage.version_1.make FILE_OR_URL

To be run with the package of that version installed, and never again: these databases are for being old. The SQLite
file was then compressed by gzip, and PostgreSQL's database by `pg_dump --no-owner --inserts` and gzip.
"""

from __future__ import annotations

import os
import signal
import sys

from airplane_runbooks.server import RunbookServer
from tests.support import version_1_runbooks
from tests.support.servers import Client, eventually


def main(database: str) -> None:
    os.environ["RUNBOOK_LINGER_UNTIL"] = "/nowhere"
    server = RunbookServer(
        [version_1_runbooks.refund, version_1_runbooks.unlock, version_1_runbooks.wait_long],
        [version_1_runbooks.add],
        database=database,
        api_key=version_1_runbooks.API_KEY,
        encryption_key=version_1_runbooks.ENCRYPTION_KEY,
        workers=2,
    ).start()
    api = Client(server)
    ended = api.execute("refund", {"customer": "Ada", "amount": 5})
    assert api.answer(ended, approve=False).status == 200
    api.reaches(ended, "Succeeded")
    task = api.post("/tasks/execute", {"slug": "add", "paramValues": {"a": 2, "b": 3}}).json["runID"]
    eventually(lambda: api.get("/runs/get", id=task).json["status"] == "Succeeded")
    waiting = api.execute("refund", {"customer": "Grace"}, **{"Idempotency-Key": "a-settled-key"})
    api.open_prompt(waiting)
    secret = api.execute("unlock", {"token": "an old secret"})
    api.open_prompt(secret)
    active, cancelling = (api.execute("wait_long") for _ in range(2))
    for session_id in (active, cancelling):
        eventually(lambda session_id=session_id: len(api.runs(session_id)) == 2)
    api.post("/runs/cancel", {"id": api.runs(cancelling)[0]["id"]})
    api.reaches(cancelling, "Cancelling")
    pending = api.execute("refund", {"customer": "Linus"})
    server._lifecycle.services.keys.claim("an-unsettled-key", b"fingerprint")
    for session_id in (ended, waiting, secret, active, cancelling, pending):
        sys.stdout.write(f"{session_id} {api.session(session_id)['status']}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
