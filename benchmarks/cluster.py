"""Sessions per second on one PostgreSQL, as servers are added: `nox -s load [-- --sessions N --servers N]`.

Each session is one step, without a prompt. All servers, the database and this program share the machine's cores, so the
ratios say how the servers share the work, and the figures nothing about larger machines.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airplane_runbooks import Airplane
from airplane_runbooks.models import SessionStatus
from tests.support.chaos import KEY, servers
from tests.support.postgres import running

THREADS = 16


def measure(url: str, folder: Path, count: int, sessions: int) -> tuple[float, float]:
    """Return the sessions started per second, and those ended per second, on `count` servers."""
    with servers(url, folder, count) as started:
        clients = [Airplane(KEY, base_url=server.base_url) for server in started]

        def execute(number: int) -> None:
            clients[number % count].runbooks.execute("one_step", param_values={"number": number})

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(execute, range(THREADS)))  # warm up
            begin = time.perf_counter()
            list(pool.map(execute, range(sessions)))
            accepted = time.perf_counter()
        while any(not session.status.is_terminal for session in clients[0].sessions.list()):
            time.sleep(0.1)  # each look takes the servers' time
        ended = time.perf_counter()
        assert all(session.status is SessionStatus.SUCCEEDED for session in clients[0].sessions.list())
        for client in clients:
            client.close()
    return sessions / (accepted - begin), sessions / (ended - begin)


def main() -> None:
    """Print a line for each number of servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.sessions} sessions of one step, {os.cpu_count()} cores for everything")
    print(f"{'servers':>8} {'started/s':>10} {'ended/s':>10} {'of one':>8}")
    alone = 0.0
    with running() as postgres, tempfile.TemporaryDirectory() as folder:
        for count in range(1, options.servers + 1):
            url = postgres.fresh()
            accepted, ended = measure(url, Path(folder), count, options.sessions)
            alone = alone or ended
            print(f"{count:>8} {accepted:>10.0f} {ended:>10.0f} {ended / alone:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
