"""The transport on threads keeps the contract of transports, and what it promises beyond it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import socket
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from airplane_runbooks import (
    AttemptTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectError,
    Response,
    TransportError,
)
from airplane_runbooks.testing import FakeTransport, json_response
from airplane_runbooks.testing.conformance import (
    KEY,
    ONE_WILL_DO,
    PLENTY,
    AsyncTransportConformance,
    UnixSocketConformance,
    finishes_within,
    request_to,
)
from airplane_runbooks.testing.conformance._cancellation import Cancellation
from airplane_runbooks.testing.conformance._concurrency import Concurrency
from airplane_runbooks.testing.hostile import HostileServer, Peer, after_request, always, reply
from airplane_runbooks.transports import threaded
from airplane_runbooks.transports.base import _reset_transports as reset_transports
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport
from tests.support.timing import PATIENCE, TIMED, eventually

pytestmark = TIMED


class TestThreadedTransport(AsyncTransportConformance, UnixSocketConformance):
    def make(self, pool_size: int = 32, **options: Any) -> ThreadedTransport:
        return ThreadedTransport(Urllib3Transport(pool_size=pool_size, **options), pool_size=pool_size)


@pytest.mark.once
class TestOnUvloop(Cancellation, Concurrency):
    def make(self, **options: Any) -> ThreadedTransport:
        return ThreadedTransport(**options)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return pytest.importorskip("uvloop").new_event_loop()


class Slow:
    """A sync transport that cannot be interrupted."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.timeouts: list[float | None] = []

    def send(self, request: Any, timeout: float | None, /) -> Response:
        self.timeouts.append(timeout)
        self.go_on.wait(PLENTY)
        return json_response(1)

    def close(self) -> None:
        self.go_on.set()


class Resolver:
    """Tells that it has been asked, and waits until it may go on."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()


@pytest.fixture
def stuck_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """Resolve no name until it is told to."""
    stuck, resolve = Resolver(), socket.getaddrinfo

    def getaddrinfo(*arguments: Any) -> Any:
        stuck.asked.set()
        stuck.go_on.wait(PLENTY)
        return resolve(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield stuck
    stuck.go_on.set()


async def refused(transport: ThreadedTransport, *arguments: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await transport.send(*arguments)
    return caught.value


@pytest.mark.parametrize("options", [{"max_response_bytes": 5}, {"proxy": None}])
def test_options_that_would_do_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be combined with transport="):
        ThreadedTransport(FakeTransport(), **options)


def test_any_sync_transport_will_do() -> None:
    fake = FakeTransport([json_response(1)])

    async def scenario() -> None:
        transport = ThreadedTransport(fake, pool_size=1)
        transport.prepare("https://api.test")
        transport.close_idle("https://api.test")
        assert (await transport.send(request_to("https://api.test"), PLENTY)).body == b"1"
        await transport.aclose()

    asyncio.run(scenario())
    assert fake.closed
    (timeout,) = fake.timeouts
    assert timeout is not None
    assert 0 < timeout <= PLENTY


def test_a_subclass_with_a_send_of_its_own_is_asked_by_it() -> None:
    class Counting(Urllib3Transport):
        count = 0

        def send(self, request: Any, timeout: float | None, /) -> Response:
            self.count += 1
            return super().send(request, timeout)

    async def scenario(origin: str) -> None:
        counting = Counting()
        transport = ThreadedTransport(counting)
        transport.prepare(origin)
        await transport.send(request_to(origin), PLENTY)
        assert counting.count == 1
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))


def test_the_context_of_the_caller_crosses_into_the_thread() -> None:
    place: contextvars.ContextVar[str] = contextvars.ContextVar("place")

    async def scenario() -> None:
        transport = ThreadedTransport(FakeTransport(lambda _: json_response(place.get())))
        place.set("here")
        assert (await transport.send(request_to("https://api.test"), PLENTY)).body == b'"here"'
        await transport.aclose()

    asyncio.run(scenario())


def test_the_default_executor_of_the_loop_is_left_alone() -> None:
    class Refusing(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            raise AssertionError("used")

    async def scenario(origin: str) -> None:
        transport = ThreadedTransport()
        await transport.send(request_to(origin), PLENTY)
        await transport.aclose()

    loop = asyncio.new_event_loop()
    loop._default_executor = Refusing()  # type: ignore[attr-defined]  # the setter takes thread pools only
    with HostileServer(always(reply())) as server:
        loop.run_until_complete(scenario(server.origin))
    loop.close()


def test_name_resolution_does_not_outlast_the_timeout(stuck_resolver: Resolver) -> None:
    async def scenario(origin: str) -> None:
        transport = ThreadedTransport()
        with finishes_within(0.3):
            error = await refused(transport, request_to(origin), 0.3)
        assert isinstance(error, AttemptTimeout)
        assert error.sent is False
        stuck_resolver.go_on.set()
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))


def test_a_request_cancelled_during_the_lookup_is_never_sent(stuck_resolver: Resolver) -> None:
    async def scenario(origin: str) -> None:
        transport = ThreadedTransport(pool_size=1)
        task = asyncio.create_task(transport.send(request_to(origin), PLENTY))
        await asyncio.to_thread(stuck_resolver.asked.wait, PLENTY)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stuck_resolver.go_on.set()
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 0


def test_closing_does_not_wait_for_name_resolution_for_long(
    monkeypatch: pytest.MonkeyPatch, stuck_resolver: Resolver
) -> None:
    monkeypatch.setattr(threaded, "_PATIENCE", 0.1)

    async def scenario(origin: str) -> None:
        transport = ThreadedTransport(pool_size=1)
        task = asyncio.create_task(transport.send(request_to(origin), PLENTY))
        await asyncio.to_thread(stuck_resolver.asked.wait, PLENTY)
        await transport.aclose()
        with pytest.raises(ClientClosed):
            await task
        stuck_resolver.go_on.set()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 0


def test_a_transport_without_interrupts_is_not_waited_for() -> None:
    slow = Slow()

    async def scenario() -> None:
        transport = ThreadedTransport(slow, pool_size=1)
        for timeout in ONE_WILL_DO:
            with finishes_within(timeout):
                error = await refused(transport, request_to("https://api.test"), timeout)
            if slow.timeouts:
                break
        assert isinstance(error, AttemptTimeout)
        assert error.sent is None
        error = await refused(transport, request_to("https://api.test"), 0.1)
        assert isinstance(error, ConnectError)
        assert error.sent is False
        slow.go_on.set()
        assert (await transport.send(request_to("https://api.test"), None)).body == b"1"
        await transport.aclose()

    asyncio.run(scenario())
    assert len(slow.timeouts) == 2
    assert slow.timeouts[1] is None


def test_no_thread_stays_busy_with_what_was_cancelled() -> None:
    async def scenario(origin: str) -> None:
        transport = ThreadedTransport(pool_size=4)
        tasks = [asyncio.create_task(transport.send(request_to(origin), PLENTY)) for _ in range(10)]
        while server.connections < 4:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        while transport._idle < 4:
            await asyncio.sleep(0.01)
        assert not transport._running
        assert not transport._waiting
        await transport.aclose()
        assert not any(thread.is_alive() for thread in transport._executor._threads)

    with HostileServer(after_request(Peer.stay_silent)) as server:
        asyncio.run(scenario(server.origin))


def test_a_thread_that_cannot_be_started_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def scenario() -> None:
        transport = ThreadedTransport(FakeTransport(lambda _: json_response(1)), pool_size=1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            error = await refused(transport, request_to("https://api.test"), PLENTY)
        assert isinstance(error, ConnectError)
        assert error.sent is False
        for _ in range(3):
            assert (await transport.send(request_to("https://api.test"), PLENTY)).body == b"1"
        await transport.aclose()

    asyncio.run(scenario())


def test_an_outcome_for_a_loop_that_has_been_closed_is_dropped() -> None:
    async def scenario() -> Any:
        return threaded._Job(request_to("https://api.test"), None)

    job = asyncio.run(scenario())
    job.settle(json_response(1))
    assert not job.outcome.done()


def test_a_transport_that_is_forgotten_takes_its_threads_with_it() -> None:
    async def scenario(origin: str) -> tuple[weakref.ref[ThreadedTransport], list[threading.Thread]]:
        transport = ThreadedTransport()
        await transport.send(request_to(origin), PLENTY)
        return weakref.ref(transport), list(transport._executor._threads)

    with HostileServer(after_request(lambda peer: peer.send(reply(headers=b"connection: close\r\n")))) as server:
        forgotten, threads = asyncio.run(scenario(server.origin))
    eventually(lambda: gc.collect() is not None and forgotten() is None)  # a thread may still be handing on the answer
    for thread in threads:
        thread.join(PLENTY)
        assert not thread.is_alive()


def in_child(work: Callable[[], None]) -> int:
    """Return the exit status of a forked child that does this."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  # the parent is told by the status
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_a_forked_child_has_threads_and_connections_of_its_own() -> None:
    transport = ThreadedTransport()

    async def scenario(origin: str) -> None:
        assert (await transport.send(request_to(origin), PLENTY)).status == 200

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert in_child(lambda: asyncio.run(scenario(server.origin))) == 0
        asyncio.run(scenario(server.origin))
        assert server.connections == 2
        asyncio.run(transport.aclose())


def test_a_transport_that_forgets_its_threads_starts_new_ones() -> None:
    """Reset transports as a fork does in the child."""

    async def scenario(origin: str) -> None:
        transport = ThreadedTransport()
        await transport.send(request_to(origin), PLENTY)
        reset_transports()
        await transport.send(request_to(origin), PLENTY)
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 2


@pytest.mark.parametrize(
    "script",
    [after_request(Peer.reset), after_request(lambda peer: peer.send(b"garbage")), Peer.stay_silent],
)
def test_a_traceback_with_local_variables_shows_no_key(monkeypatch: pytest.MonkeyPatch, script: Any) -> None:
    monkeypatch.setattr(threaded, "_GRACE", PATIENCE)  # on a slow machine, too, the thread tells what happened

    async def scenario(origin: str) -> TransportError:
        transport = ThreadedTransport()
        transport.prepare(origin)
        error = await refused(transport, request_to(origin), 0.5)
        await transport.aclose()
        return error

    with HostileServer(script) as server:
        error = asyncio.run(scenario(server.origin))
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert KEY not in shown
    assert "send_by" in shown
