"""Helpers that the cases share."""

from __future__ import annotations

import contextlib
import signal
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import pytest
import trustme

from ...errors import AttemptTimeout, TransportError
from ...http import Headers, Request, Response, Transport
from ..hostile import HostileServer, Script

PLENTY = 30.0  # seconds; as good as no limit, but a hang ends
SOON = 15.0  # seconds for what takes none of its own, and is late on a busy machine only
ONE_WILL_DO = (0.5, 5.0, 50.0)  # timeouts to be tried in turn: a busy machine does not get far in the first
_GRACE = 10.0  # seconds; other work on the machine makes things late
KEY = "tkn_conformance"


def request_to(
    origin: str,
    body: bytes | None = b'{"a":1}',
    target: str = "/v0/runbooks/execute",
    headers: Mapping[str, str] | None = None,
) -> Request:
    """Return a request as a client would hand it to a transport, with further headers if given."""
    method = "GET" if body is None else "POST"
    given = Headers({"content-type": "application/json", "x-airplane-api-key": KEY, **(headers or {})})
    return Request(method=method, origin=origin, target=target, headers=given, body=body)


class Case:
    """Makes the transports of a test, and closes them."""

    def make(self, **options: Any) -> Any:
        """Return a new transport; the tests close it."""
        raise NotImplementedError

    @contextlib.contextmanager
    def interrupting(self, transport: Transport) -> Generator[Callable[[], object]]:  # noqa: ARG002  # of others
        """Yield what interrupts the request that is in progress, from any thread: here a Ctrl-C."""
        former = signal.signal(signal.SIGINT, signal.default_int_handler)
        main = threading.main_thread().ident or 0
        try:
            yield lambda: signal.pthread_kill(main, signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, former)

    @pytest.fixture
    def adapted(self) -> Callable[[Any], Transport]:
        """Return what turns the result of `make` into what the tests use."""
        return lambda transport: transport

    @pytest.fixture
    def opened(self, adapted: Callable[[Any], Transport]) -> Iterator[Callable[..., Transport]]:
        """Yield `make`, and close in the end what it made."""
        made: list[Transport] = []

        def make(**options: Any) -> Transport:
            made.append(adapted(self.make(**options)))
            return made[-1]

        yield make
        for transport in made:
            transport.close()

    @pytest.fixture
    def transport(self, opened: Callable[..., Transport]) -> Transport:
        """Return a transport with its defaults."""
        return opened()

    @staticmethod
    def exchange(transport: Transport, script: Script, timeout: float | None = PLENTY, **options: Any) -> Response:
        """Send one request to a server that follows `script`."""
        with HostileServer(script) as server:
            return transport.send(request_to(server.origin, **options), timeout)


class DeadlineMissed(AssertionError):
    """Something ended many seconds late."""


class finishes_within:  # noqa: N801  # reads as a statement
    """Demand that a block ends within so many seconds and a little grace. Raises DeadlineMissed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, kind: object, failure: object, trace: object) -> None:
        elapsed = time.monotonic() - self._started
        if elapsed >= self._seconds + _GRACE:
            raise DeadlineMissed(f"took {elapsed:.3f} s")


def times_out(transport: Transport, request: Request, timeout: float) -> AttemptTimeout:
    """Demand that a request meets its timeout, soon. Return the error."""
    with finishes_within(timeout), pytest.raises(AttemptTimeout) as caught:
        transport.send(request, timeout)
    return caught.value


def send_and_forget(transport: Transport, request: Request, timeout: float) -> None:
    """Send a request whose failure is of no interest."""
    with contextlib.suppress(TransportError):
        transport.send(request, timeout)


def tls(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the server's and the client's settings for a certificate of a new authority."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client
