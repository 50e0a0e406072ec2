"""A server's lock, port and connections end with it, though children that were forked meanwhile live on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3

from airplane_runbooks.server import Context, RunbookServer, runbook
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.errors import DatabaseInUse, DatabaseUnavailable
from tests.support.servers import eventually
from tests.support.supervised import supervised

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform == "win32", reason="there are no forks on Windows")]

BOOKS = """
    import multiprocessing, warnings
    warnings.simplefilter("ignore")

    def live_on():
        note(str(os.getpid()))
        time.sleep(300)

    def leave(how):
        if how == "os.fork":
            if os.fork() == 0:
                live_on()
                os._exit(0)
        elif how == "multiprocessing":
            multiprocessing.get_context("fork").Process(target=live_on).start()
        elif how == "subprocess":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], close_fds=False)
            note(str(child.pid))
        elif how == "goes on" and os.fork() == 0:
            note(str(os.getpid()))  # and goes on with the runbook as if it were its parent

    @runbook
    def forks(context: Context, how: str) -> str:
        context.step(leave, how)
        return context.step(str, how, name="another")

    BOOKS = [forks]
"""


def ended(pid):
    """Tell whether a process has ended; a zombie counts."""
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(") ")[2][0] == "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("how", "end", "shared"),
    [
        ("os.fork", "kill", False),
        pytest.param("os.fork", "stop", False, marks=pytest.mark.nightly),
        pytest.param("multiprocessing", "kill", False, marks=pytest.mark.nightly),
        pytest.param("subprocess", "kill", False, marks=pytest.mark.nightly),
        ("goes on", "kill", False),
        pytest.param("os.fork", "kill", True, marks=pytest.mark.postgres),
    ],
)
def test_a_server_restarts_although_a_child_of_the_old_one_lives(tmp_path, request, how, end, shared):
    url = request.getfixturevalue("postgres_url") if shared else f"sqlite:///{tmp_path / 'runbooks.db'}"
    children = []
    with supervised(BOOKS, url, tmp_path) as (server,):
        try:
            session_id = server.client.execute("forks", {"how": how})
            server.client.reaches(session_id, "Succeeded")
            children += eventually(lambda: [int(pid) for pid in server.notes])
            assert how == "goes on" or not ended(children[0])
            if how == "goes on":
                eventually(lambda: ended(children[0]))
            if end == "kill":
                server.kill()
            else:
                assert server.stop() == 0
            assert how == "goes on" or not ended(children[0])
            server.start()  # on the same port
            assert server.client.finishes("forks", {"how": "not at all"}) == "not at all"
            assert [run["status"] for run in server.client.runs(session_id)] == ["Succeeded"] * 3
        finally:
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def in_a_child(check):
    """Call in a forked child and return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
class TestAChild:
    @pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.postgres)])
    def database(self, request, tmp_path):
        url = f"sqlite:///{tmp_path / 'runbooks.db'}"
        database = Database(request.getfixturevalue("postgres_url") if request.param else url)
        yield database
        database.close()

    def test_a_child_is_refused_the_database_of_its_parent(self, database):
        def use():
            with pytest.raises(DatabaseUnavailable, match="closed"):
                database.query(lambda _: None)
            database.close()
            database.sqlalchemy_engine.dispose()

        with database.write() as connection:  # held while the child is made, and there for ever
            assert in_a_child(use) == 0
            connection.exec_driver_sql("SELECT 1")
        assert database.query(lambda connection: connection.exec_driver_sql("SELECT 1").scalar()) == 1

    def test_a_child_may_not_open_a_file_that_its_parent_has_open(self, tmp_path):
        url = f"sqlite:///{tmp_path / 'runbooks.db'}"
        database = Database(url)

        def open_again():
            with pytest.raises(DatabaseInUse, match=f"process {os.getppid()}"):
                Database(url)

        assert in_a_child(open_again) == 0
        with pytest.raises(DatabaseInUse):
            Database(url)
        database.close()
        Database(url).close()

    def test_a_child_that_leaves_the_block_leaves_the_server_alone(self):
        @runbook
        def nothing(context: Context) -> None:
            """Do nothing."""

        with RunbookServer([nothing]) as server:

            def leave():
                server.close()

            assert in_a_child(leave) == 0
            assert urllib3.request("GET", f"{server.base_url.removesuffix('/v0')}/healthz").status == 200
