"""A transport and a clock that need neither a network nor time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ..errors import ClientClosed
from ..http import Headers, Request, Response

Outcome = Response | BaseException
Handler = Callable[[Request], Outcome]


def json_response(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response whose body is `data` as JSON."""
    fields = Headers({"content-type": "application/json", **(headers or {})})
    return Response(status=status, headers=fields, body=msgspec.json.encode(data))


class FakeTransport:
    """A transport that answers from a handler or a script, and remembers what it was asked.

    A `Handler` is a function that is called with each `Request`, possibly from several threads, and returns an
    `Outcome`: a `Response`, or an exception to raise. A script is an iterable of outcomes, of which each request takes
    one, and a request beyond its end is an AssertionError. TypeError says so if the answers are anything else.

    Attributes:
        requests: All requests so far.
        timeouts: The seconds that each of them was given; None for no limit.
        closed: Whether the transport has been closed.
    """

    def __init__(self, answers: Handler | Iterable[Outcome] = ()) -> None:
        self._answer = answers if callable(answers) else _Script(_items(answers))
        self.requests: list[Request] = []
        self.timeouts: list[float | None] = []
        self.closed = False

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Answer one attempt."""
        if self.closed:
            raise ClientClosed("the transport has been closed", sent=False)
        self.requests.append(request)
        self.timeouts.append(timeout)
        outcome = self._answer(request)
        if isinstance(outcome, BaseException):
            raise outcome
        if not isinstance(outcome, Response):
            raise TypeError(f"FakeTransport: an answer is a Response or an exception, not {type(outcome).__name__}")
        return outcome

    def close(self) -> None:
        """Refuse further requests."""
        self.closed = True

    def as_async(self) -> AsyncFakeTransport:
        """Return the same transport with an async face: answers, records and the end are shared."""
        return AsyncFakeTransport(self)

    def __repr__(self) -> str:
        return f"<FakeTransport, {len(self.requests)} requests>"


class AsyncFakeTransport:
    """A FakeTransport as async clients want it. It answers without suspending.

    Attributes:
        sync: The transport behind it, with its records.
    """

    def __init__(self, sync: FakeTransport) -> None:
        self.sync = sync

    async def send(self, request: Request, timeout: float | None, /) -> Response:
        """Answer one attempt."""
        return self.sync.send(request, timeout)

    async def aclose(self) -> None:
        """Refuse further requests."""
        self.sync.close()

    def __repr__(self) -> str:
        return f"{self.sync!r}.as_async()"


def _items(answers: Iterable[Outcome]) -> Iterator[Outcome]:
    try:
        return iter(answers)
    except TypeError:
        given = type(answers).__name__
    raise TypeError(f"FakeTransport takes a handler or an iterable of answers, such as [response], not {given}")


class _Script:
    def __init__(self, outcomes: Iterator[Outcome]) -> None:
        self._outcomes = outcomes
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Outcome:
        with self._lock:
            for outcome in self._outcomes:
                return outcome
        raise AssertionError(f"the script of the FakeTransport has no answer left for {request!r}")


class FakeClock:
    """A clock that moves only when it is told to, or slept on. Sleeping takes no time.

    Attributes:
        sleeps: The seconds of each sleep so far.
    """

    def __init__(self, now: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._now = now
        self._ahead = wall - now
        self.sleeps: list[float] = []

    def now(self) -> float:
        """Return the monotonic time."""
        return self._now

    def wall(self) -> float:
        """Return the time since the epoch."""
        return self._now + self._ahead

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds

    async def sleep(self, seconds: float, /) -> None:
        """Move on, at once."""
        self.sleeps.append(seconds)
        self.advance(seconds)

    def close(self) -> None:
        """Do nothing: no call sleeps on a fake clock."""
