"""A gunicorn on a free port of loopback, and callers of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parents[1]
PATIENCE_SECONDS = 60.0
CALLERS = 16


class Fleet:
    """A running gunicorn, and the worker that has answered each order.

    Attributes:
        master: Process of gunicorn's master.
        worker_of: Worker that has answered, by order.
    """

    def __init__(self, port: int, master: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.worker_of: dict[str, int] = {}
        self._port = port

    @property
    def workers(self) -> set[int]:
        """The workers that have answered so far."""
        return set(self.worker_of.values())

    def refund(self, order: str) -> int:
        """Call the service until it has answered, and return the worker that has. A lost answer is asked for again."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                status, reply = self._post(order)
            except (OSError, http.client.HTTPException) as error:  # its worker was killed
                status, reply = 0, {"error": repr(error)}
            if status == 202:
                self.worker_of[order] = worker = int(reply["worker"])
                return worker
            if status or time.monotonic() > give_up or self.master.poll() is not None:
                raise RuntimeError(f"{order} ended with {status}: {reply['error']}")

    def refund_all(self, orders: Iterable[str], *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Call the service for many orders, side by side, and call `meanwhile` once the first of them are answered."""
        with ThreadPoolExecutor(CALLERS) as pool:
            answers = pool.map(self.refund, orders)
            for number, _ in enumerate(answers):
                if number == CALLERS:
                    meanwhile()

    def kill_a_worker(self) -> None:
        """Kill one of the workers that have answered, in the midst of its work. gunicorn starts another."""
        os.kill(min(self.workers), signal.SIGKILL)

    def reload(self) -> None:
        """Let gunicorn replace all workers: each ends once it has answered the requests that it has taken."""
        self.master.send_signal(signal.SIGHUP)

    def _post(self, order: str) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", f"/refunds/{order}")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@contextmanager
def gunicorn(api_key: str, base_url: str) -> Generator[Fleet]:
    """Run gunicorn. It inherits a socket: so the port is known, and calls wait for the start."""
    settings = {"AIRPLANE_API_KEY": api_key, "AIRPLANE_API_HOST": base_url.removesuffix("/v0")}
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        descriptor, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "shop.service:app", "--bind", f"fd://{descriptor}"]
        command += ["--log-level", "warning"]
        master = subprocess.Popen(command, cwd=FOLDER, env={**os.environ, **settings}, pass_fds=[descriptor])  # noqa: S603 - ours
    try:
        yield Fleet(port, master)
    finally:
        master.terminate()
        master.wait(PATIENCE_SECONDS)
