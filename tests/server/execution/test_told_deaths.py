"""The log names the sessions that start again after the death of a server, and the steps that they were in."""

from __future__ import annotations

from tests.support.servers import eventually
from tests.support.supervised import supervised

BOOKS = """
    def die() -> str:
        marker = FOLDER / "died"
        if marker.exists():
            return "alive"
        time.sleep(0.5)  # until its begin is recorded
        marker.touch()
        os._exit(9)

    @runbook
    def deadly(context: Context) -> str:
        return context.step(die, name="the last step")

    BOOKS = [deadly]
"""


def test_the_log_names_the_step_in_which_a_server_died(tmp_path):
    with supervised(BOOKS, f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as (server,):
        session_id = server.client.execute("deadly")
        server.process.wait(100)
        server.start()
        eventually(lambda: server.client.session(session_id)["status"] == "Succeeded")
        said = f"session {session_id} of deadly was interrupted by the death of a server, and starts again (2 of 10)"
        assert server.output().count(f"{said}, in step 'the last step'") == 1
