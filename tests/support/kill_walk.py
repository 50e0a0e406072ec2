"""A walk over the commits of one session, with a server that kills itself at each: `kill_walk.py FOLDER POINT...`.

A point is a number of a commit of the server and `before` or `after`: just before the commit, or once it is on the
disk and before anything else has been done. For each point, a child serves a file and drives a session until it kills
itself. Then a second child serves the file, goes on where the first one was, and checks that nothing that was finished
or acknowledged is lost or repeated. Without points, the walk has all of them. A line is printed for each.

The children are forks of this process, which has loaded everything and runs one thread.
"""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import sys
import threading
import traceback
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from airplane_runbooks.server import Context, RunbookServer, runbook
from tests.support.servers import Client, eventually

STEPS = ["first", "left", "right", "last"]
ENDS = {"Succeeded", "Failed", "Cancelled"}
FOLDER = Path(sys.argv[1])


def execute(name):
    """Write an execution down, and return what tells it from others."""
    nonce = secrets.token_hex(8)
    note(f"{name} {nonce}")
    return nonce


def note(line):
    journal = os.open(FOLDER / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(journal, f"{line}\n".encode())
    os.close(journal)


def notes():
    path = FOLDER / "journal"
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


@runbook
def walk(context: Context) -> list[str]:
    """Take a step, two side by side, ask, and take a last one."""

    def step(name):
        return context.step(execute, name, name=name)

    done = [step("first"), *context.parallel(lambda: step("left"), lambda: step("right"))]
    context.prompt("Go on?", go=bool)
    return [*done, step("last")]


class Death:
    """Counts commits, and kills the process at one of them."""

    def __init__(self, number, when):
        self._number = number
        self._when = when
        self._lock = threading.Lock()
        self._open = False
        self.count = 0

    def begin(self):
        """Count from now on."""
        self._open = True

    def around(self, commit):
        if not self._open:
            return commit()
        with self._lock:
            self.count += 1
            is_near = self.count == self._number
        if is_near and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = commit()
        if is_near:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


class Connection(sqlite3.Connection):
    """A connection whose commits `death` is told of, however they are made."""

    death = Death(0, "")

    def commit(self):
        return self.death.around(super().commit) if self.in_transaction else super().commit()

    def execute(self, sql, *values):
        run = super().execute
        return self.death.around(lambda: run(sql, *values)) if sql.upper().startswith("COMMIT") else run(sql, *values)

    def cursor(self, factory=None):
        return super().cursor(factory or Cursor)


class Cursor(sqlite3.Cursor):
    def execute(self, sql, *values):
        run = super().execute
        is_commit = sql.upper().startswith("COMMIT")
        return self.connection.death.around(lambda: run(sql, *values)) if is_commit else run(sql, *values)


def connect(*args, _connect=sqlite3.connect, **options):
    return _connect(*args, **{"factory": Connection, **options})


def served():
    return RunbookServer([walk], database=f"sqlite:///{FOLDER / 'runbooks.db'}", api_key="tkn_walk", workers=2)


def drive(api, said=lambda line: None):
    """See the session through, with the same keys each time, and return its ID."""
    session_id = api.execute("walk", **{"Idempotency-Key": "the-session"})
    said("acknowledged execute")
    while (status := api.session(session_id)["status"]) not in ENDS:
        if status == "Waiting":
            (run,) = [run for run in api.runs(session_id) if run["isWaitingForUser"]] or [None]
            if run is None:
                continue
            (prompt,) = api.get("/prompts/list", runID=run["id"]).json["prompts"]
            body = {"id": prompt["id"], "values": {"go": True}}
            answer = api.post("/prompts/submit", body, **{"Idempotency-Key": "the-answer"})
            assert answer.status == 200, answer.json
            said("acknowledged answer")
    return session_id


def live_until_killed(death):
    """Serve and drive a session; return the number of its commits if nothing has killed this process."""
    sqlite3.connect = sqlite3.dbapi2.connect = connect
    Connection.death = death
    with served() as server:
        with closing(Client(server)) as api:
            death.begin()
            drive(api, note)
            eventually(lambda: not server._lifecycle._runner._in_progress)
        return death.count


def recorded():
    """Return the outputs of the steps that have ended, by name, as the file has them."""
    with closing(sqlite3.connect(FOLDER / "runbooks.db")) as connection:
        rows = connection.execute("SELECT name, output FROM runbook_runs WHERE kind = 'step' AND status = 'Succeeded'")
        return {name: output.decode().strip('"') for name, output in rows}


def go_on():
    """Continue on the file of a server that was killed, and check what comes of it."""
    finished, before = recorded(), notes()
    with served() as server, closing(Client(server)) as api:
        session_id = drive(api)
        assert api.session(session_id)["status"] == "Succeeded"
        assert [one["id"] for one in api.get("/sessions/list").json["sessions"]] == [session_id]
        runs = api.runs(session_id)
        output = api.output(runs[0])
    after = notes()
    executed = {name: [nonce for one, nonce in after if one == name] for name in STEPS}
    assert len(runs) == len(["walk", "Go on?", *STEPS]), "a step or prompt is there twice"
    assert output == [executed[name][-1] for name in STEPS], "a result is not that of its last execution"
    for name in finished:
        assert executed[name] == [nonce for one, nonce in before if one == name], f"{name} was repeated"
        assert executed[name][-1] == finished[name], f"the result of {name} is lost"
    assert max(map(len, executed.values())) <= 2, "a step was repeated more than once"
    if ("acknowledged", "answer") in before:
        assert {"first", "left", "right"} <= set(finished)
    return len([name for name in STEPS if len(executed[name]) == 2])


def forked(work):
    """Call a function in a fork of this process; return its result, or None if it was killed. It must not fail."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with traced():
                os.write(writer, str(work()).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        result = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert status == 0, "a child has failed"
    return int(result)


@contextmanager
def traced():
    """Show what is raised inside."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise


def clear():
    for path in FOLDER.iterdir():
        path.unlink()


def main(points):
    commits = forked(lambda: live_until_killed(Death(0, "")))
    sys.stdout.write(f"commits {commits}\n")
    every = [(number, when) for number in range(1, commits + 1) for when in ("before", "after")]
    for number, when in [(int(point.partition("-")[0]), point.partition("-")[2]) for point in points] or every:
        clear()
        lived = forked(lambda number=number, when=when: live_until_killed(Death(number, when)))
        assert lived is None or number >= lived, "nothing has killed the server"
        sys.stdout.write(f"{when} commit {number}: repeated {forked(go_on)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[2:])
