"""Deadlines that another thread brings forward, at the moments that are hard to hit."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading

import pytest

from airplane_runbooks import AttemptTimeout
from airplane_runbooks.testing import FakeTransport, json_response
from airplane_runbooks.testing.conformance import request_to
from airplane_runbooks.testing.hostile import HostileServer, always, reply
from airplane_runbooks.transports._deadline import InterruptibleDeadline
from airplane_runbooks.transports.threaded import ThreadedTransport


def test_a_request_interrupted_just_before_it_is_sent_is_not() -> None:
    fake = FakeTransport([json_response(1)])
    deadline = InterruptibleDeadline(None)
    deadline.interrupt()
    outcome = ThreadedTransport(fake)._attempt(contextvars.copy_context(), request_to("https://api.test"), deadline)
    assert isinstance(outcome, TimeoutError)
    assert fake.requests == []


def test_a_connection_interrupted_before_its_use_is_given_up() -> None:
    async def scenario(origin: str) -> None:
        transport = ThreadedTransport(pool_size=1)
        await transport.send(request_to(origin), 60)
        deadline = InterruptibleDeadline(None)
        deadline.interrupt()
        outcome = transport._attempt(contextvars.copy_context(), request_to(origin), deadline)
        assert isinstance(outcome, AttemptTimeout)
        assert (await transport.send(request_to(origin), 60)).status == 200
        await transport.aclose()

    with HostileServer(always(reply())) as server:
        asyncio.run(scenario(server.origin))
        assert server.connections == 2


def test_an_interrupt_hits_no_socket_that_has_been_released() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = InterruptibleDeadline(5)
        deadline.hold(ours)
        deadline.hold(ours)
        deadline.release()
        deadline.release()
        deadline.interrupt()
        ours.send(b"more")
        assert theirs.recv(4) == b"more"
        with pytest.raises(TimeoutError):
            deadline.hold(ours)
        assert deadline.left == 0.001


def test_an_interrupt_ends_a_wait_and_may_come_twice() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = InterruptibleDeadline(None)
        deadline.hold(ours)
        threading.Timer(0.05, deadline.interrupt).start()
        assert ours.recv(1) == b""
        deadline.interrupt()
