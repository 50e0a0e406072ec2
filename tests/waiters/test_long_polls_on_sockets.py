"""Waits by long polls over real connections, with every kind of client: told, cut off, cancelled and closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

import pytest

from airplane_runbooks import NO_RETRY, Airplane, AsyncAirplane, ClientClosed, WaitTimeout
from airplane_runbooks.testing.hostile import HostileServer, Peer, reply
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from airplane_runbooks.transports.urllib3._streams import Stream
from tests.support.long_polls import Telling, telling
from tests.support.spans import ASYNC_TRANSPORTS, KINDS, call

Served = tuple[Telling, HostileServer]

# Tests that last for the second of a wait try the other kinds at night.
SLOWLY = [pytest.param(kind, marks=[pytest.mark.nightly] if kind != "sync" else []) for kind in KINDS]


@pytest.fixture
def served() -> Iterator[Served]:
    with telling() as both:
        yield both


def base_url(server: HostileServer) -> str:
    return f"{server.origin}/v0"


def client(server: HostileServer, **options: Any) -> Airplane:
    return Airplane("tkn_test", base_url=base_url(server), **options)


def wait(airplane: Any, *, timeout: float) -> Any:
    return airplane.sessions.wait("ses1", wait_timeout=timeout)


def is_waiting(polls: list[int]) -> bool:
    return any(polls)


def end_once_waited_for(told: Telling) -> threading.Thread:
    """Return a thread, started, that lets the session end once a long poll for it has come."""

    def end() -> None:
        told.wait_for_polls(is_waiting)
        told.become(b"Succeeded")

    thread = threading.Thread(target=end)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_is_executed_and_told_in_two_requests(served: Served, kind: str) -> None:
    told, server = served
    ending = end_once_waited_for(told)
    ended = call(kind, lambda airplane: airplane.runbooks.execute_and_wait("x", wait_timeout=60), base_url(server))
    ending.join()
    assert ended.status == "Succeeded"
    assert (told.polls, told.statuses, server.connections) == ([20], [200], 1)


@pytest.mark.parametrize("kind", SLOWLY)
def test_an_unchanged_session_keeps_the_connection(kind: str) -> None:
    def end(told: Telling) -> None:
        told.wait_for_polls(lambda polls: len(polls) >= 3)
        told.become(b"Succeeded")

    with telling(longest=0.6) as (told, server):
        ending = threading.Thread(target=end, args=(told,))
        ending.start()
        call(kind, partial(wait, timeout=60), base_url(server))
        ending.join()
        assert told.statuses[:2] == [200, 304]
        assert server.connections == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_outlives_a_server_that_hangs_up(kind: str) -> None:
    asked: list[bytes] = []

    def hang_up(peer: Peer) -> None:
        asked.append(peer.read_request().lower())
        if len(asked) == 4:
            peer.send(reply(b'{"id":"ses1","status":"Succeeded"}'))

    with HostileServer(hang_up) as server:
        act = partial(wait, timeout=60)
        assert call(kind, act, base_url(server), retry=NO_RETRY).status == "Succeeded"
    assert [b"prefer: wait=" in request for request in asked] == [True, False, False, False]


def test_calls_find_connections_while_others_wait(served: Served) -> None:
    told, server = served
    with client(server, transport=Urllib3Transport(pool_size=4)) as airplane, ThreadPoolExecutor(6) as pool:
        waits = [pool.submit(airplane.sessions.wait, "ses1", wait_timeout=60) for _ in range(6)]
        told.wait_for_polls(lambda polls: polls.count(20) == 2 and polls.count(0) >= 8)
        assert airplane.runbooks.execute("x").session_id == "ses1"
        assert told.polls.count(20) == 2
        told.become(b"Succeeded")
        assert {wait.result(60).status for wait in waits} == {"Succeeded"}
    assert server.connections <= 4


def test_a_closed_client_ends_its_long_polls(served: Served) -> None:
    told, server = served
    airplane = client(server)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(airplane.sessions.wait, "ses1", wait_timeout=None)
        told.wait_for_polls(is_waiting)
        airplane.close()
        assert isinstance(waiting.exception(60), ClientClosed)
    assert told.statuses == []  # the server has not answered yet


@pytest.mark.parametrize("transport", sorted(ASYNC_TRANSPORTS))
def test_a_closed_async_client_ends_its_long_polls(served: Served, transport: str) -> None:
    told, server = served

    async def scenario() -> None:
        airplane = AsyncAirplane("tkn_test", base_url=base_url(server), transport=ASYNC_TRANSPORTS[transport]())
        wait = asyncio.create_task(airplane.sessions.wait("ses1", wait_timeout=None))
        await asyncio.to_thread(told.wait_for_polls, is_waiting)
        await airplane.aclose()
        with pytest.raises(ClientClosed):
            await wait

    asyncio.run(scenario())
    assert told.statuses == []


@pytest.mark.parametrize("transport", sorted(ASYNC_TRANSPORTS))
def test_a_cancelled_wait_leaves_its_place_to_others(served: Served, transport: str) -> None:
    told, server = served

    async def scenario() -> None:
        carrier = ASYNC_TRANSPORTS[transport](pool_size=2)
        async with AsyncAirplane("tkn_test", base_url=base_url(server), transport=carrier) as airplane:
            wait = asyncio.create_task(airplane.sessions.wait("ses1", wait_timeout=None))
            await asyncio.to_thread(told.wait_for_polls, is_waiting)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
            again = asyncio.create_task(airplane.sessions.wait("ses1", wait_timeout=60))
            await asyncio.to_thread(told.wait_for_polls, lambda polls: polls.count(20) == 2)
            told.become(b"Succeeded")
            assert (await again).status == "Succeeded"

    asyncio.run(scenario())
    assert told.polls == [20, 20]


def test_ctrl_c_ends_a_long_poll(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    told, server = served

    def press(*_: object) -> NoReturn:
        told.wait_for_polls(is_waiting)
        raise KeyboardInterrupt

    with client(server, transport=Urllib3Transport(pool_size=2)) as airplane:
        monkeypatch.setattr(Stream, "receive", press)
        with pytest.raises(KeyboardInterrupt):
            wait(airplane, timeout=60)
        monkeypatch.undo()
        assert told.statuses == []
        told.become(b"Succeeded")
        assert wait(airplane, timeout=60).status == "Succeeded"
    assert told.polls == [20, 20]


@pytest.mark.parametrize("kind", SLOWLY)
def test_the_time_for_a_wait_ends_it(kind: str) -> None:
    def message(seconds: float) -> str:
        with telling(longest=0.3) as (_, server), pytest.raises(WaitTimeout) as caught:
            call(kind, partial(wait, timeout=seconds), base_url(server))
        return str(caught.value)

    assert any(
        "last seen Active" in message(seconds) for seconds in (1.6, 16.0)
    )  # a busy machine may see nothing at first


def test_a_server_that_stays_silent_is_given_up_in_time() -> None:
    with HostileServer(Peer.stay_silent) as server, client(server) as airplane, pytest.raises(WaitTimeout):
        airplane.sessions.wait("ses1", wait_timeout=1.6)
