"""Connections to several addresses, raced."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airplane_runbooks.testing.conformance import PLENTY, finishes_within
from airplane_runbooks.transports._addresses import AddressInfo
from airplane_runbooks.transports._deadline import Deadline, InterruptibleDeadline
from airplane_runbooks.transports.urllib3 import _race as race
from airplane_runbooks.transports.urllib3._race import connect_first
from tests.support.timing import TIMED, eventually

pytestmark = TIMED

DESCRIPTORS = Path("/proc/self/fd")


def address_of(listener: socket.socket) -> AddressInfo:
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname()


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = set(DESCRIPTORS.iterdir())
    yield
    assert set(DESCRIPTORS.iterdir()) == before


@pytest.fixture
def dead() -> Iterator[AddressInfo]:
    """An address that drops handshakes, as a firewall does: a listener whose backlog is full."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield address_of(listener)


@pytest.fixture
def alive() -> Iterator[AddressInfo]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield address_of(listener)


@pytest.fixture
def refusing() -> AddressInfo:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return address_of(listener)


def test_a_dead_address_costs_a_moment(dead: AddressInfo, alive: AddressInfo) -> None:
    with finishes_within(1), connect_first([dead, dead, alive], Deadline(PLENTY)) as sock:
        assert sock.getpeername() == alive[4]


def test_a_refused_connection_costs_no_moment(
    monkeypatch: pytest.MonkeyPatch, refusing: AddressInfo, alive: AddressInfo
) -> None:
    monkeypatch.setattr(race, "ATTEMPT_DELAY", 1000.0)
    unheard_of: Any = 12345  # a family that this machine does not have
    with connect_first([refusing, (unheard_of, *refusing[1:]), alive], Deadline(None)) as sock:
        assert sock.getpeername() == alive[4]


def test_an_address_may_answer_after_later_ones_have_failed(
    monkeypatch: pytest.MonkeyPatch, dead: AddressInfo, refusing: AddressInfo
) -> None:
    monkeypatch.setattr(race, "ATTEMPT_DELAY", 0.01)
    with socket.socket() as listener, socket.socket() as filler:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler.connect(listener.getsockname())
        late = address_of(listener)
        accepted: list[socket.socket] = []
        timer = threading.Timer(0.3, lambda: accepted.append(listener.accept()[0]))
        timer.start()
        with connect_first([late, refusing], Deadline(None)) as sock:
            assert sock.getpeername() == late[4]
        timer.join()
        accepted[0].close()


def test_if_all_addresses_fail_the_last_problem_is_told(refusing: AddressInfo) -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        connect_first([refusing, refusing], Deadline(None))
    assert caught.value.errno == errno.ECONNREFUSED


def test_an_address_that_is_refused_at_once_is_a_failure_too() -> None:
    with pytest.raises(OSError) as caught:
        connect_first([(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", 9))], Deadline(None))
    assert caught.value.errno in (errno.EACCES, errno.ENETUNREACH)


def test_the_deadline_ends_a_race_without_a_winner(dead: AddressInfo) -> None:
    with finishes_within(0.5), pytest.raises(TimeoutError):
        connect_first([dead, dead, dead], Deadline(0.5))


def test_an_interrupt_ends_a_race(dead: AddressInfo) -> None:
    deadline = InterruptibleDeadline(None)

    def interrupt() -> None:
        eventually(lambda: len(deadline._held) == 2)
        deadline.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(TimeoutError):
        connect_first([dead, dead], deadline)
    thread.join()
    deadline.release()


def test_an_interrupt_at_the_finish_leaves_no_connection(alive: AddressInfo) -> None:
    class Interrupted(Deadline):
        holds = 0

        def hold(self, *_: object) -> None:
            self.holds += 1
            if self.holds == 2:  # that of the winner
                raise TimeoutError

    with pytest.raises(TimeoutError):
        connect_first([alive], Interrupted(PLENTY))
