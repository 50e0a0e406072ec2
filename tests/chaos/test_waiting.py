"""Costs of waiting for humans."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airplane_runbooks.models import SessionStatus
from tests.support.chaos import Human, Server, servers

COUNT = 10_000


def memory(server: Server) -> int:
    """Return the resident memory in bytes."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def seconds(server: Server) -> float:
    """Return the processor time used so far."""
    user, system = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_waiting_sessions_take_little_memory(tmp_path: Path) -> None:
    with servers(f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as (server,):
        human = Human([server])
        client = human.client

        def start(number: int) -> str:
            return client.runbooks.execute("waits", param_values={"number": number}).session_id

        def until_waiting(session_id: str) -> None:
            while client.sessions.get(session_id).status is not SessionStatus.WAITING:
                time.sleep(0.05)

        with ThreadPoolExecutor(8) as pool:
            until_waiting(list(pool.map(start, range(200)))[-1])  # all one-time imports are done by now
            before = memory(server)
            ids = list(pool.map(start, range(COUNT)))
            for session_id in ids[:: COUNT // 100]:
                until_waiting(session_id)
        time.sleep(2)
        grown, used = memory(server) - before, seconds(server)
        time.sleep(10)
        share = (seconds(server) - used) / 10
        (prompt,) = client.sessions.prompts(ids[COUNT // 2])
        asked = time.perf_counter()
        client.prompts.submit(prompt.id, values={"go": True})
        client.sessions.wait(ids[COUNT // 2], wait_timeout=60)
        answered = time.perf_counter() - asked
        human.close()
        assert server.stop() == 0
    figures = {"megabytes": round(grown / 1e6, 1), "core": round(share, 3), "answer to end, s": round(answered, 2)}
    print(figures)
    assert grown < 50e6, figures
    assert share < 0.05, figures
