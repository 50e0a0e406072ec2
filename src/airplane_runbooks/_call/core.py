"""One operation, from its arguments to its result, for both clients: all between a resource and the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol, TypeVar

from ..errors import (
    AirplaneError,
    AttemptTimeout,
    DeadlineExceeded,
    DecodeError,
    InvalidResponse,
)
from ..http import (
    IDEMPOTENCY_HEADER,
    CallState,
    Reply,
    Request,
    Response,
    is_echo,
)
from ..models.decoding import UNREADABLE, OutOfTime
from ..operations import Operation, ReplyT, RequestT
from ..options import BaseURL, Resolved
from ..telemetry.instruments import Telemetry
from ..telemetry.spans import begin_call
from ..waiters.scope import Composite
from .clock import Clock
from .pipeline import Next
from .redaction import empty_frames, redactor_of
from .replies import request_id, status_error

T = TypeVar("T")

# Bytes of a body from which on it is decoded where it holds nobody up: below, changing threads takes longer.
_LARGE = 64 * 1024


class Aside(Protocol):
    """Calls a function where it holds nobody up but the caller, and the caller for so many seconds at most."""

    async def __call__(self, function: Callable[[], T], seconds: float | None, /) -> T:
        """Return its result. Raises OutOfTime."""
        ...


class Core:
    """What a client and its clones share. With a sync transport and clock, none of its coroutines ever suspends."""

    def __init__(
        self,
        base: BaseURL,
        chain: Next,
        clock: Clock,
        telemetry: Telemetry,
        *,
        aside: Aside,
        close_idle: Callable[[str], object] | None,
    ) -> None:
        self.clock = clock
        self._aside = aside
        self._close_idle = close_idle
        self._base = base
        self._chain = chain
        self._telemetry = telemetry

    async def call(self, operation: Operation[RequestT, ReplyT], request: RequestT, options: Resolved) -> Reply[ReplyT]:
        """Carry out an operation under a span of its own."""
        call = self.begin(operation.name, options, options.timeout)
        span = begin_call(self._telemetry, operation.name)
        try:
            reply = await self.perform(operation, request, options, call)
        except BaseException as failure:
            span.end(call.attempts, failure)
            raise
        span.end(call.attempts, None, getattr(reply.data, "session_id", None), call.sent)
        return reply

    async def compose(self, name: str, steps: Callable[[Composite], Awaitable[T]], options: Resolved) -> T:
        """Carry out an operation that is made of several calls, under one span for all of them."""
        composite = Composite(self, options)
        span = begin_call(self._telemetry, name)
        try:
            result = await steps(composite)
        except BaseException as failure:
            redactor_of(composite.sent).error(failure)
            empty_frames(failure)
            if isinstance(failure, AirplaneError):
                composite.annotate(failure, name)
            span.end(composite.attempts, failure, composite.session_id, composite.sent)
            raise
        span.end(composite.attempts, None, composite.session_id, composite.sent)
        return result

    def begin(self, name: str, options: Resolved, timeout: float | None) -> CallState:
        """Return the state of a call that starts now."""
        started = self.clock.now()
        return CallState(
            operation=name,
            started=started,
            deadline=None if timeout is None else started + timeout,
            attempt_timeout=options.attempt_timeout,
            retry=options.retry,
            idempotency_key=options.idempotency_key,
        )

    async def perform(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, options: Resolved, call: CallState
    ) -> Reply[ReplyT]:
        """Carry out a call. Every error of it leaves here with what it has come to, and without the credentials."""
        try:
            operation.check(request)
            body = operation.body(request)
            response = await self._chain(
                Request(
                    method=operation.method,
                    origin=self._base.origin,
                    target=self._base.path + operation.target(request, options.env_slug),
                    headers=options.get_headers if body is None else options.post_headers,
                    body=body,
                    call=call,
                )
            )
            if not response.is_success:
                _refuse(response)
            data = await self._decode(operation, request, response, call)
            if operation.is_by_id and not operation.answers(request, data):
                _refuse_other(operation.name)
            return Reply(
                data=data,
                response=response,
                request_id=request_id(response.headers),
                attempts=call.attempts,
                elapsed=self.clock.now() - call.started,
                idempotency_key=call.idempotency_key,
            )
        except BaseException as failure:
            redactor_of(call.sent).error(failure)
            if isinstance(failure, AirplaneError):
                _annotate(failure, call)
            if self._close_idle is not None and isinstance(failure, DecodeError | InvalidResponse):
                self._close_idle(self._base.origin)  # it may have answered another request, and more of them may follow
            raise

    async def _decode(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, response: Response, call: CallState
    ) -> ReplyT:
        """Return what a successful response says. Raises DecodeError, or DeadlineExceeded if that takes too long."""
        if operation.acknowledge is not None:
            return operation.acknowledge(request)
        try:
            if len(response.body) <= _LARGE:
                return operation.decode(response.body)
            return await self._decode_aside(operation, response.body, call.deadline)
        except OutOfTime:
            error: AirplaneError = DeadlineExceeded(f"{operation.name} succeeded, but its reply took too long to read")
            error.maybe_processed = True
        except UNREADABLE as problem:
            error = DecodeError(f"{operation.name} succeeded, but its reply cannot be read: {problem}", response)
        try:
            raise error  # out here, for the problem itself may hold all of the reply
        finally:
            del error  # its traceback holds this frame

    async def _decode_aside(
        self, operation: Operation[RequestT, ReplyT], body: bytes, deadline: float | None
    ) -> ReplyT:
        now = self.clock.now
        if deadline is None:
            return await self._aside(lambda: operation.decode(body), None)
        return await self._aside(lambda: operation.decode(body, lambda: now() >= deadline), deadline - now())


def _refuse_other(name: str) -> NoReturn:
    raise InvalidResponse(f"{name}: the reply is about something else than was asked for", transient=True)


def _refuse(response: Response) -> NoReturn:
    raise status_error(response)


def _annotate(error: AirplaneError, call: CallState) -> None:
    error.operation = call.operation
    error.attempts = call.attempts
    error.idempotency_key = call.idempotency_key if call.attempts else None
    # An earlier attempt may have reached the server even if the last one surely did not.
    error.maybe_processed = error.maybe_processed or call.maybe_sent


def leaf(carry: Callable[[Request, float | None], Awaitable[Response]], clock: Clock) -> Next:
    """Return the innermost link of the chain: hand the request to the transport with the time that is left for it.

    An error response that repeats a credential does so to nobody beyond this point.
    """

    async def send(request: Request) -> Response:
        call = request.call
        call.attempts += 1
        timeout = call.attempt_timeout
        if call.deadline is not None:
            left = call.deadline - clock.now()
            if left <= 0:
                raise AttemptTimeout("no time left before the request could be sent", sent=False)
            timeout = left if timeout is None or left < timeout else timeout
        response = await carry(request, timeout)
        echo = response.headers.raw().get(IDEMPOTENCY_HEADER)
        if echo is not None and not is_echo(echo, request.headers.raw().get(IDEMPOTENCY_HEADER)):
            raise InvalidResponse("the server's reply answers another request", transient=True)
        return response if response.is_success else redactor_of(call.sent).response(response)

    return send
