"""The scope of one operation that makes several calls: its time, its calls, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Generic, NamedTuple, Protocol, TypeVar

from .._responses.redaction import secrets_in
from ..clock import Clock
from ..errors import AirplaneError
from ..http import CallState, Headers, Reply
from ..operations import Operation, ReplyT, RequestT
from ..options import RenderedOptions
from .long_polls import LongPolls, conditional, seconds_to_wait

T = TypeVar("T")


class Calls(Protocol):
    """The client's core, as far as operations use it."""

    @property
    def clock(self) -> Clock:
        """The client's clock."""
        ...

    @property
    def long_polls(self) -> LongPolls:
        """Places for the client's long polls."""
        ...

    async def offload(self, function: Callable[[], T], seconds: float | None, /) -> T:
        """Call a function so that only the caller waits for it, for so many seconds."""
        ...

    def begin(self, options: RenderedOptions, timeout: float | None) -> CallState:
        """Return the state of a call that starts now."""
        ...

    async def perform(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        options: RenderedOptions,
        call: CallState,
        known: ReplyT | None = None,
    ) -> Reply[ReplyT]:
        """Carry out a call. `known` is the data of the reply if the server answers that nothing has changed."""
        ...


class Known(NamedTuple, Generic[ReplyT]):
    """State of an object that the client knows: the data of a reply, and its ETag if the server sent one."""

    data: ReplyT
    etag: str | None


class OperationScope:
    """Shared state of an operation's calls. Each attempt has a span; the deadline holds for all calls together.

    Attributes:
        clock: The client's clock.
        attempts: Number of requests.
        session_id: ID of the session that the operation is about, once it is known.
        idempotency_key: Key by which repeating the operation leads to the same session, if it has started one.
        sent: Request headers in which all credentials occur that were sent.
    """

    def __init__(self, calls: Calls, options: RenderedOptions) -> None:
        self.clock = calls.clock
        self.attempts = 0
        self.session_id: str | None = None
        self.idempotency_key: str | None = None
        self.sent: tuple[Headers, ...] = ()
        self._calls = calls
        self._options = options
        self._started = calls.clock.now()
        self.limit(options.timeout)

    def limit(self, timeout: float | None) -> None:
        """Limit all calls and the waits between them to so many seconds since the start; None removes the limit."""
        self._deadline = None if timeout is None else self._started + timeout

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock.now() - self._started

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, zero or less if it has passed; None without one."""
        return None if self._deadline is None else self._deadline - self.clock.now()

    @contextmanager
    def as_one_call(self) -> Generator[None, None, None]:
        """Limit all calls in a `with` statement together to the time of one call."""
        outer = self._deadline
        if self._options.timeout is not None:
            end = self.clock.now() + self._options.timeout
            self._deadline = end if outer is None or end < outer else outer
        try:
            yield
        finally:
            self._deadline = outer

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        keyed: bool = False,
        at_least: float = 0.0,
    ) -> Reply[ReplyT]:
        """Make one of the calls within the time left.

        Args:
            operation: The endpoint.
            request: Its request.
            keyed: Whether this is the call that carries the caller's own idempotency key.
            at_least: Seconds that the call may take even if less time is left.
        """
        call = self._begin(at_least)
        if not keyed:
            call.idempotency_key = None
        return await self._perform(operation, request, self._options, call)

    async def offload(self, function: Callable[[], T]) -> T:
        """Call a function that blocks. An event loop does not wait for it."""
        return await self._calls.offload(function, None)

    @contextmanager
    def long_poll(self, longest: float) -> Generator[int | None, None, None]:
        """Take a place for a long poll, and yield the seconds that the server may wait, which are at most `longest`.

        None stands for an ordinary poll: the time left is too short, or all places are taken.
        """
        seconds = seconds_to_wait(self._options, longest=longest, left=self.left)
        with self._calls.long_polls.place() if seconds else nullcontext(enter_result=False) as has_place:
            yield seconds if has_place else None

    async def poll(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        wait: int | None,
        known: Known[ReplyT] | None,
    ) -> Reply[ReplyT]:
        """Read an object within the time left. If it has not changed, the data of the reply is what is known.

        Args:
            operation: The endpoint.
            request: Its request.
            wait: Seconds that the server may wait for the object to change or to rest; None for an ordinary poll.
            known: The object as the poll before returned it; None if the first poll is still to come.
        """
        call = self._begin()
        call.idempotency_key = None
        call.long_poll = wait
        if known is None or known.etag is None:
            return await self._perform(operation, request, conditional(self._options, wait=wait, etag=None), call)
        options = conditional(self._options, wait=wait, etag=known.etag)
        return await self._perform(operation, request, options, call, known.data)

    def _begin(self, at_least: float = 0.0) -> CallState:
        timeout, left = self._options.timeout, self.left
        if left is not None:
            left = max(left, at_least)
            timeout = left if timeout is None or left < timeout else timeout
        return self._calls.begin(self._options, timeout)

    async def _perform(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        options: RenderedOptions,
        call: CallState,
        known: ReplyT | None = None,
    ) -> Reply[ReplyT]:
        try:
            return await self._calls.perform(operation, request, options, call, known)
        finally:
            self.attempts += call.attempts
            if not secrets_in(call.sent) <= secrets_in(self.sent):
                self.sent += call.sent

    def annotate(self, error: AirplaneError, name: str) -> None:
        """Complete an error with the state of the whole operation."""
        if error.operation is None:
            error.operation = name
            error.attempts = self.attempts
        if error.session_id is None:
            error.session_id = self.session_id
        if self.idempotency_key is not None:
            error.idempotency_key = self.idempotency_key
            error.maybe_processed = True
