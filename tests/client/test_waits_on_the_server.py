"""Waits on the server, over real HTTP: it tells of changes, so that no waiter sleeps between its requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from airplane_runbooks import Airplane, CallOptions, Next, Request, Response
from airplane_runbooks.clock import BlockingClock
from airplane_runbooks.server import Context, RunbookServer, runbook
from tests.support.spans import KINDS, call
from tests.support.timing import PATIENCE


def double(number: int) -> int:
    return number * 2


@runbook
def doubling(context: Context, number: int) -> int:
    return context.step(double, number)


@runbook
def approval(context: Context) -> bool:
    return context.prompt("Go on?", go=bool)["go"]


@pytest.fixture(scope="module")
def server() -> Iterator[RunbookServer]:
    with RunbookServer([doubling, approval]) as running:
        yield running


class Counting:
    """Counts the requests of each operation, and lets tests wait for them."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._came = threading.Condition()

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        with self._came:
            self.requests.append(request)
            self._came.notify_all()
        return await call_next(request)

    def wait_for(self, operation: str, count: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: self.operations.count(operation) >= count, PATIENCE)

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]


class Sleepless(BlockingClock):
    """A clock that a waiter must not sleep on."""

    async def sleep(self, seconds: float, /) -> None:
        raise AssertionError(f"slept for {seconds} s")


@pytest.mark.parametrize("kind", KINDS)
def test_a_runbook_of_one_step_takes_two_requests(server: RunbookServer, kind: str) -> None:
    counting = Counting()

    def act(airplane: Any) -> Any:
        return airplane.runbooks.execute_and_wait("doubling", param_values={"number": 2}, wait_timeout=PATIENCE)

    ended = call(kind, act, server.base_url, api_key=server.api_key, attempt_middleware=[counting])
    assert ended.status == "Succeeded"
    assert counting.operations == ["runbooks.execute", "sessions.get"]


@pytest.fixture
def airplane(server: RunbookServer) -> Iterator[Airplane]:
    with Airplane(server.api_key, base_url=server.base_url) as client:
        yield client


@pytest.fixture
def waiting(server: RunbookServer) -> Iterator[tuple[Counting, Callable[..., Future[Any]]]]:
    """Yield what counts the requests of a client that never sleeps, and what calls it in a thread."""
    counting = Counting()
    options = {"base_url": server.base_url, "attempt_middleware": [counting], "clock": Sleepless()}
    with Airplane(server.api_key, **options) as client, ThreadPoolExecutor(1) as pool:
        yield counting, lambda act: pool.submit(act, client)


def start(airplane: Airplane) -> tuple[str, str, str]:
    """Start a session that asks, and return its ID and those of its run and its prompt."""
    session_id = airplane.runbooks.execute("approval").session_id
    found: list[tuple[str, str]] = []

    def note(prompt: Any, _: object) -> None:
        found.append((prompt.run_id, prompt.id))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        airplane.sessions.wait(session_id, wait_timeout=PATIENCE, on_prompt=note)
    return session_id, *found[0]


@pytest.mark.parametrize("of", ["sessions", "runs", "prompts"])
def test_a_waiter_is_told_of_an_answer(airplane: Airplane, waiting: Any, of: str) -> None:
    counting, submit = waiting
    ids = dict(zip(["sessions", "runs", "prompts"], start(airplane), strict=True))
    waiter = submit(lambda client: getattr(client, of).wait(ids[of], wait_timeout=PATIENCE))
    counting.wait_for(f"{of}.get", 2)  # the second one waits for a change
    airplane.prompts.submit(ids["prompts"], values={"go": True})
    waiter.result(PATIENCE)
    assert len(counting.requests) <= 4
    assert "if-none-match" in counting.requests[1].headers


def test_a_handler_answers_without_polls(airplane: Airplane, waiting: Any) -> None:
    counting, submit = waiting
    waiter = submit(
        lambda client: client.runbooks.execute_and_wait(
            "approval", wait_timeout=PATIENCE, on_prompt=lambda *_: {"go": True}
        )
    )
    assert waiter.result(PATIENCE).status == "Succeeded"
    assert counting.operations.count("sessions.get") <= 4


def test_a_waiter_without_time_for_long_polls_polls(server: RunbookServer) -> None:
    counting = Counting()
    options = {"base_url": server.base_url, "attempt_middleware": [counting]}
    with Airplane(server.api_key, **options) as client:
        ended = client.runbooks.execute_and_wait(
            "doubling",
            param_values={"number": 2},
            wait_timeout=PATIENCE,
            options=CallOptions(attempt_timeout=5),
        )
    assert ended.status == "Succeeded"
    assert not any("prefer" in request.headers for request in counting.requests)
