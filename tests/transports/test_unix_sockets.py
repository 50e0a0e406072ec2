"""Unix-domain sockets, as far as they are not part of every transport's contract."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from airplane_runbooks import Airplane, AsyncAirplane, AttemptTimeout, ClientClosed, ConnectError
from airplane_runbooks.server import Context, create_app, runbook
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.conformance._async import LoopThread, SyncFace
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports._deadline import InterruptibleDeadline
from airplane_runbooks.transports.asyncio import AsyncioTransport
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from airplane_runbooks.transports.urllib3._unix import UnixRoute
from tests.support.timing import TIMED, eventually

pytestmark = TIMED


@runbook
def double(_: Context, number: int) -> int:
    return number * 2


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        yield f"{directory}/s"


@pytest.fixture(params=["urllib3", "asyncio"])
def transport(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "urllib3":
        with contextlib.closing(Urllib3Transport()) as sync:
            yield sync
    else:
        loop = LoopThread(asyncio.new_event_loop())
        with loop, contextlib.closing(SyncFace(AsyncioTransport(), loop.run)) as face:
            yield face


@pytest.fixture
def busy(path: str) -> Iterator[tuple[socket.socket, contextlib.ExitStack]]:
    """A server whose queue of new connections is full, and those that fill it."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as fillers:
        listener.bind(path)
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                filler = fillers.enter_context(socket.socket(socket.AF_UNIX))
                filler.settimeout(0)
                filler.connect(path)
        yield listener, fillers


def origin_of(path: str) -> str:
    return HostileServer(always(reply()), path=path).origin


def test_a_full_queue_of_a_socket_is_waited_for(transport: Any, busy: Any, path: str) -> None:
    listener, fillers = busy
    answers: list[bytes] = []
    sender = threading.Thread(
        target=lambda: answers.append(transport.send(request_to(origin_of(path)), PLENTY).body), daemon=True
    )
    sender.start()
    time.sleep(0.05)  # most likely it waits by now
    fillers.close()
    listener.settimeout(PLENTY)
    while not answers:
        with listener.accept()[0] as accepted:
            peer = Peer(accepted, threading.Event())
            if peer.read_request():  # the others only filled the queue
                peer.send(reply(b"1"))
                sender.join()
    assert answers == [b"1"]


@pytest.mark.usefixtures("busy")
def test_a_queue_that_stays_full_meets_the_timeout(transport: Any, path: str) -> None:
    with pytest.raises(AttemptTimeout, match="while connecting") as caught:
        transport.send(request_to(origin_of(path)), 0.1)
    assert not caught.value.maybe_processed


@pytest.mark.usefixtures("busy")
def test_a_wait_for_a_full_queue_ends_with_the_transport(path: str) -> None:
    transport = Urllib3Transport()
    failures: list[BaseException] = []

    def warm_up() -> None:
        try:
            transport.warm_up(origin_of(path))
        except ClientClosed as failure:
            failures.append(failure)

    warming = threading.Thread(target=warm_up, daemon=True)
    warming.start()
    eventually(lambda: transport._interruptibles)
    transport.close()
    warming.join(PLENTY)
    assert [type(failure) for failure in failures] == [ClientClosed]


def test_an_interrupted_request_does_not_connect_to_a_socket(path: str) -> None:
    deadline = InterruptibleDeadline(PLENTY)
    deadline.interrupt()
    with HostileServer(always(reply()), path=path) as server, pytest.raises(AttemptTimeout):
        UnixRoute(path).connect(deadline)
    assert server.connections == 0


def test_a_system_without_unix_sockets_is_told_from_others(
    transport: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConnectError, match=f"no connection to {path}: Address family not supported") as caught:
        transport.send(request_to(origin_of(path)), PLENTY)
    assert not caught.value.transient


def test_a_connection_to_a_socket_is_opened_beforehand(path: str) -> None:
    with HostileServer(always(reply(b'{"sessionID":"ses1"}')), path=path) as server:
        with Airplane("tkn_test", base_url=f"{server.origin}/v0") as airplane:
            airplane.warm_up()
            eventually(lambda: server.connections == 1)
            assert airplane.runbooks.execute("x").session_id == "ses1"
        assert server.connections == 1


@contextlib.contextmanager
def serving(path: str) -> Iterator[None]:
    app = create_app([double], api_key="tkn_test", allowed_hosts=["localhost"])
    server = uvicorn.Server(uvicorn.Config(app, uds=path, loop="asyncio", log_config=None, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join()


def test_clients_talk_to_our_server_over_a_socket(path: str) -> None:
    base_url = f"{origin_of(path)}/v0"

    async def run_async() -> Any:
        async with AsyncAirplane("tkn_test", base_url=base_url) as airplane:
            return await airplane.runbooks.run("double", {"number": 4}, wait_timeout=PLENTY)

    with serving(path):
        with Airplane("tkn_test", base_url=base_url) as airplane:
            assert airplane.runbooks.run("double", {"number": 2}, wait_timeout=PLENTY) == 4
        assert asyncio.run(run_async()) == 8
