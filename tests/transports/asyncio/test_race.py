"""The race for an address that answers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from airplane_runbooks.testing.conformance import PLENTY
from airplane_runbooks.testing.hostile import HostileServer, Peer
from airplane_runbooks.transports._addresses import AddressInfo
from airplane_runbooks.transports.asyncio._connecting import _better as better
from airplane_runbooks.transports.asyncio._connecting import _race as race


def info(port: int) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


@pytest.fixture
def loop_kind(request: pytest.FixtureRequest) -> Any:
    return asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")


ON_BOTH = pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"], indirect=True)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a listener whose backlog is full: it drops further handshakes, as a firewall does."""
    with contextlib.ExitStack() as stack:
        dead = stack.enter_context(socket.socket())
        dead.bind(("127.0.0.1", 0))
        dead.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(dead.getsockname())
        yield dead.getsockname()[1]


@pytest.fixture
def refusing() -> int:
    """A port that refuses connections."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
    return port


def run(loop_kind: Any, addresses: list[AddressInfo], patience: float = PLENTY) -> int:
    """Race, and return the port of the winner."""

    async def main() -> int:
        async with asyncio.timeout(patience):
            with await race(asyncio.get_running_loop(), addresses) as sock:
                port: int = sock.getpeername()[1]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return port

    with asyncio.Runner(loop_factory=loop_kind.new_event_loop) as runner:
        return runner.run(main())


@ON_BOTH
def test_an_address_that_is_silent_does_not_hold_up_the_next(loop_kind: Any, silent: int) -> None:
    with HostileServer(Peer.read_request) as server:
        assert run(loop_kind, [info(silent), info(silent), info(server.port)]) == server.port


@ON_BOTH
def test_an_address_that_refuses_is_followed_by_the_next_at_once(loop_kind: Any, refusing: int) -> None:
    with HostileServer(Peer.read_request) as server:
        assert run(loop_kind, [info(refusing), info(server.port), info(refusing)]) == server.port


@ON_BOTH
def test_addresses_that_all_refuse_are_one_failure(loop_kind: Any, refusing: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        run(loop_kind, [info(refusing), info(refusing)])


@ON_BOTH
def test_a_race_that_is_cancelled_leaves_no_attempt_behind(loop_kind: Any, silent: int) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await race(asyncio.get_running_loop(), [info(silent)] * 3)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=loop_kind.new_event_loop) as runner:
        runner.run(main())


def test_the_first_of_two_connections_is_kept() -> None:
    first, second = socket.socketpair()
    with first, second:
        assert better(first, second) is first
        assert (first.fileno() >= 0, second.fileno()) == (True, -1)


def test_a_connection_is_better_than_a_failure() -> None:
    refused, unreachable = ConnectionRefusedError(), OSError(errno.ENETUNREACH, "unreachable")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert better(refused, ours) is ours
        assert better(ours, refused) is ours
        assert ours.fileno() >= 0
    assert better(refused, unreachable) is refused


def test_a_connection_that_comes_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be made in the very moment in which the race is given up."""
    made: list[socket.socket] = []

    async def connected(loop: asyncio.AbstractEventLoop, address: AddressInfo) -> socket.socket:
        try:
            await asyncio.sleep(PLENTY)
        except asyncio.CancelledError:
            made.append(socket.socket())
        return made[-1]

    monkeypatch.setattr("airplane_runbooks.transports.asyncio._connecting._connected", connected)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await race(asyncio.get_running_loop(), [info(1), info(2)])

    asyncio.run(main())
    assert [sock.fileno() for sock in made] == [-1]


@ON_BOTH
def test_the_last_address_is_waited_for_when_others_have_failed(loop_kind: Any, silent: int, refusing: int) -> None:
    with pytest.raises(TimeoutError):
        run(loop_kind, [info(silent), info(refusing)], patience=1.0)
