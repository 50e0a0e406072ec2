"""The contenders: our server, that of an earlier commit, and bare DBOS, each on a database of its own."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import urllib3

from airplane_runbooks import Airplane, PollPolicy

from . import driver
from .driver import Burst, Single
from .processes import KEY, PATIENCE, Child, Reports, free_port

T = TypeVar("T")


class Contender:
    """Runs loads on servers in processes of their own, inside a `with` statement."""

    def __init__(self, name: str, database: str, url: str, folder: Path, *, trace: Path | None = None) -> None:
        self.name = f"{name}, {database}"
        self.database = database
        self.url = url
        self.trace = trace
        self.pids: list[int] = []
        self._log = folder / f"{name}-{database}.log"
        self._open = ExitStack()

    def burst(self, workload: str, count: int) -> Burst:
        raise NotImplementedError

    def single(self, workload: str, number: int) -> Single:
        raise NotImplementedError

    def _start(self, module: str, arguments: list[str], source: Path | None = None) -> Child:
        arguments += [] if self.trace is None else [str(self.trace)]
        child = self._open.enter_context(Child(module, arguments, self._log, source))
        self.pids.append(child.pid)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self.pids.clear()


class Ours(Contender):
    """Our server, or several that share a database, with a client for each. It is a system of the driver."""

    def __init__(
        self,
        name: str,
        database: str,
        url: str,
        folder: Path,
        *,
        source: Path | None = None,
        servers: int = 1,
        trace: Path | None = None,
    ) -> None:
        super().__init__(name, database, url, folder, trace=trace)
        self._source = source
        self._servers = servers
        self._reports = Reports(self.name)
        self._prompts: dict[str, str] = {}
        self.clients: list[Airplane] = []
        self.ports: list[int] = []

    def burst(self, workload: str, count: int) -> Burst:
        return driver.burst(self, workload, count)

    def single(self, workload: str, number: int) -> Single:
        return driver.single(self, workload, number)

    def execute_and_wait(self, number: int) -> float:
        """Return the seconds that a client waits for a session of one step, the start included."""
        began = time.perf_counter()
        self._client(number).runbooks.execute_and_wait(
            "w1", param_values={"number": number}, wait_timeout=PATIENCE, poll=PollPolicy(initial_delay=0.05)
        )
        return time.perf_counter() - began

    def start(self, workload: str, number: int, steps: int = 1) -> str:
        values = {"number": number, "steps": steps}
        return self._client(number).runbooks.execute(workload.lower(), param_values=values).session_id

    def asked(self, session: str) -> float:
        moment, run_id = self._reports.wait("asked", session)
        (prompt,) = self.clients[0].prompts.list(run_id)
        self._prompts[session] = prompt.id
        return moment

    def answer(self, session: str) -> None:
        self.clients[0].prompts.submit(self._prompts.pop(session), values={"go": True})

    def ended(self, session: str) -> float:
        moment, status = self._reports.wait("ended", session)
        assert status == "Succeeded", f"session {session} has {status}"
        return moment

    def wait_until_asked(self, session: str) -> None:
        """Wait until a session asks, without looking for its prompt."""
        self._reports.wait("asked", session)

    def _client(self, number: int) -> Airplane:
        return self.clients[number % len(self.clients)]

    def __enter__(self) -> Self:
        for _ in range(self._servers):
            port = free_port()
            child = self._start("program", [self.url, str(port)], self._source)
            code = child.line().removeprefix("code ")
            assert self._source is None or Path(code).is_relative_to(self._source.resolve()), code
            self._reports.read(child)
            _wait_until_ready(port, child)
            self.ports.append(port)
            client = Airplane(KEY, base_url=f"http://127.0.0.1:{port}/v0", retry_budget=None)
            self.clients.append(self._open.enter_context(client))
        return self


class BareDbos(Contender):
    """DBOS without a server."""

    def __enter__(self) -> Self:
        self._child = self._start("bare_dbos", [self.url])
        assert self._child.line() == "ready"
        return self

    def burst(self, workload: str, count: int) -> Burst:
        return self._call(["burst", workload, count], Burst)

    def single(self, workload: str, number: int) -> Single:
        return self._call(["single", workload, number], Single)

    def _call(self, call: list[object], kind: type[T]) -> T:
        self._child.tell(msgspec.json.encode(call).decode())
        return msgspec.json.decode(self._child.line(), type=kind)


def _wait_until_ready(port: int, child: Child) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        assert child.process.poll() is None, child.log.read_text("utf-8")[-2000:]
        try:
            if urllib3.request("GET", f"http://127.0.0.1:{port}/readyz", retries=False).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.02)  # leave it the processor
    raise TimeoutError(f"{child.name} does not answer")
