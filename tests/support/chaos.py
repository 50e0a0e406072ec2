"""Servers in processes of their own, to be killed and frozen, and the invariants that must hold all the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import urllib3

from airplane_runbooks import Airplane, CallOptions, PollPolicy, RetryPolicy
from airplane_runbooks.models import ParameterSchema, Prompt, RunStatus, Session

WORKER = Path(__file__).with_name("chaos_worker.py")
KEY = "tkn_chaos"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    """One process that serves, and comes back on the same port after its death."""

    def __init__(self, database: str, journal: Path, **environment: str) -> None:
        self.port = free_port()
        self._environment = {**os.environ, **environment}
        self.deaths = 0
        self._command = [sys.executable, str(WORKER), database, str(self.port), str(journal)]
        self._log = journal.with_name(f"server-{self.port}.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log, env=self._environment)

    def ready(self, patience: float = 100.0) -> None:
        """Wait until it answers."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            assert self._process is not None
            assert self._process.poll() is None, f"the server has ended by itself: see {self._log.name}"
            try:
                if urllib3.request("GET", f"http://127.0.0.1:{self.port}/healthz", retries=False).status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.02)
        raise AssertionError("the server does not answer")

    def restart_if_dead(self) -> None:
        """Do what a supervisor does, without waiting for it to answer."""
        if self._process is not None and self._process.poll() is not None:
            self.deaths += 1
            self.start()

    def bounce(self) -> None:
        """Stop it gracefully and start it again, without waiting for it to answer."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(100)
        self.start()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.deaths += 1

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> int:
        """End it as an operator would, and return its exit status."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(100)
        finally:
            self.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextmanager
def servers(database: str, folder: Path, count: int = 1) -> Iterator[list[Server]]:
    """Run some servers on one database and one journal."""
    started = [Server(database, folder / "journal") for _ in range(count)]
    try:
        for server in started:
            server.start()
            server.ready()  # one after the other: the first one makes the tables
        yield started
    finally:
        for server in started:
            server.close()


class Human:
    """Starts sessions, answers all that is asked, and notes what came of it, from many threads at once."""

    def __init__(self, servers: list[Server], threads: int = 24) -> None:
        self.ended: dict[str, tuple[str, Session]] = {}  # with the slug, by ID
        self.answered: Counter[str] = Counter()  # how often each prompt was put to this human
        self.problems: list[BaseException] = []
        self._pool = ThreadPoolExecutor(threads)
        self._clients = [
            Airplane(
                KEY,
                base_url=server.base_url,
                retry=RetryPolicy(max_attempts=1000, max_delay=0.5),
                retry_budget=None,
                timeout=120,
                attempt_timeout=5,
            )
            for server in servers
        ]

    @property
    def client(self) -> Airplane:
        """The client of the first server."""
        return self._clients[0]

    def drive(self, slugs: list[str]) -> list[Future[None]]:
        """See one session for each slug through, in the background."""
        return [self._pool.submit(self._drive, slug, number) for number, slug in enumerate(slugs)]

    def _drive(self, slug: str, number: int) -> None:
        client = self._clients[number % len(self._clients)]
        session = client.runbooks.execute_and_wait(
            slug,
            wait_timeout=300,
            on_prompt=self._answer,
            poll=PollPolicy(initial_delay=0.1, max_delay=1.0),
            options=CallOptions(idempotency_key=f"{slug}-{number}"),
        )
        self.ended[session.id] = slug, session

    def _answer(self, prompt: Prompt, schema: ParameterSchema) -> dict[str, bool]:
        self.answered[prompt.id] += 1
        return {parameter.slug: True for parameter in schema.parameters}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()


def executions(journal: Path) -> dict[tuple[str, str], list[str]]:
    """Return the nonces of every execution, by session and step, in their order."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in journal.read_text().splitlines():
        session_id, _, rest = line.partition(" ")
        name, _, nonce = rest.rpartition(" ")
        found[session_id, name].append(nonce)
    return found


STEPS = {
    "refund": ["find", "check", "pay", "tell", "close"],
    "gather": ["left one", "left two", "right one", "right two"],
}


def check(human: Human, journal: Path, count: int, *, late: bool = False) -> Counter[int]:
    """Hold what the sessions show against what was executed; return how often steps were executed how many times.

    A step's recorded output must be that of its last execution: one that ran once more after it had been recorded
    would show here. `late` allows for servers that were frozen in a step and ended it after another one had.
    """
    done = executions(journal)
    assert len(human.ended) == count
    assert max(human.answered.values()) == 1
    times: Counter[int] = Counter()
    for session_id, (slug, session) in human.ended.items():
        recorded: dict[str, list[object]] = defaultdict(list)
        for step in human.client.sessions.steps(session_id):
            assert step.status is RunStatus.SUCCEEDED
            recorded[step.name].append(step.output)
        for name in STEPS[slug]:
            nonces = done.pop((session_id, name))
            (output,) = recorded[name]
            assert output in (nonces if late else nonces[-1:]), (session_id, name)
            times[len(nonces)] += 1
        (own,) = [run for run in human.client.sessions.runs(session_id) if run.task_id == session.runbook_id]
        assert human.client.runs.get_outputs(own.id).output == [recorded[name][0] for name in STEPS[slug]]
    assert not done, "a session was executed that nobody knows of"
    return times
