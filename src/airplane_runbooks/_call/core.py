"""One operation from its arguments to its result, for both clients: everything between a resource and the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .._responses.reading import request_id, status_error, version_advice
from .._responses.redaction import empty_frames, redactor_of
from ..clock import Clock
from ..errors import (
    AirplaneError,
    APIError,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    DecodeError,
    InvalidResponse,
)
from ..http import CallState, ClientRequest, Reply, Response
from ..middleware import Next
from ..middleware.wrong_results import wrong_result
from ..models.decoding import UNREADABLE, OutOfTime
from ..operations import Operation, ReplyT, RequestT
from ..options import DEFAULT_BASE_URL, BaseURL, RenderedOptions
from ..telemetry.absent import AbsentTelemetry
from ..waiters.long_polls import LongPolls
from ..waiters.scope import OperationScope

if TYPE_CHECKING:
    from ..middleware.compression import Offload
    from ..telemetry.client import ClientTelemetry
else:
    # Keeps `get_type_hints` working; loaded by a client that compresses, or when the process loads OpenTelemetry.
    ClientTelemetry = Offload = Any

T = TypeVar("T")

_GONE = "the hosted API is gone: pass base_url, or set AIRPLANE_API_HOST"

# Larger bodies, in bytes, are decoded in a thread: for smaller ones, switching threads takes longer than decoding.
_LARGE = 64 * 1024


class Core:
    """The parts that a client and its clones share. With a sync transport and clock, no coroutine here suspends.

    Args:
        base: Base URL of the API.
        unobserved: Chain without spans, for the time until the process loads OpenTelemetry; None if it has.
        observed: Makes the chain with spans, and the telemetry that they go to.
        clock: The client's clock.
        offload: Calls a function so that only the caller waits for it.
        close_idle: Closes idle connections to an origin.
        long_polls: Places for long polls.

    Attributes:
        clock: The client's clock.
        telemetry: The client's spans and metrics.
        long_polls: Places for long polls.
        offload: Calls a function so that only the caller waits for it.
    """

    def __init__(
        self,
        base: BaseURL,
        unobserved: Next | None,
        observed: Callable[[], tuple[Next, ClientTelemetry]],
        clock: Clock,
        *,
        offload: Offload,
        close_idle: Callable[[str], object] | None,
        long_polls: LongPolls,
    ) -> None:
        self.clock = clock
        self.long_polls = long_polls
        self.offload = offload
        self._close_idle = close_idle
        self._base = base
        self._observed = observed
        self.telemetry: ClientTelemetry | AbsentTelemetry
        if unobserved is None:
            self._observe()
        else:
            self._chain, self.telemetry = unobserved, AbsentTelemetry(self._observe)

    def _observe(self) -> ClientTelemetry:
        """Report all further calls, and return the telemetry."""
        self._chain, telemetry = self._observed()
        self.telemetry = telemetry
        return telemetry

    def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, options: RenderedOptions
    ) -> Coroutine[Any, Any, Reply[ReplyT]]:
        """Carry out an operation under a span of its own, or without one while telemetry goes nowhere."""
        call = self.begin(options, options.timeout)
        if self.telemetry.is_idle():
            return self.perform(operation, request, options, call)
        return self._measured(operation, request, options, call)

    async def _measured(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, options: RenderedOptions, call: CallState
    ) -> Reply[ReplyT]:
        span = self.telemetry.begin(operation.name)
        try:
            reply = await self.perform(operation, request, options, call)
        except BaseException as failure:
            span.end(call.attempts, failure)
            raise
        span.end(call.attempts, None, getattr(reply.data, "session_id", None), call.sent)
        return reply

    async def run_operation(
        self, name: str, steps: Callable[[OperationScope], Awaitable[T]], options: RenderedOptions
    ) -> T:
        """Carry out an operation that needs several calls, under one span for all of them."""
        scope = OperationScope(self, options)
        span = None if self.telemetry.is_idle() else self.telemetry.begin(name)
        try:
            result = await steps(scope)
        except BaseException as failure:
            redactor_of(scope.sent).error(failure)
            empty_frames(failure)
            if isinstance(failure, AirplaneError):
                scope.annotate(failure, name)
            if span is not None:
                span.end(scope.attempts, failure, scope.session_id, scope.sent)
            raise
        if span is not None:
            span.end(scope.attempts, None, scope.session_id, scope.sent)
        return result

    def begin(self, options: RenderedOptions, timeout: float | None) -> CallState:
        """Return the state of a call that starts now."""
        started = self.clock.now()
        return CallState(
            started=started,
            deadline=None if timeout is None else started + timeout,
            attempt_timeout=options.attempt_timeout,
            retry=options.retry,
            idempotency_key=options.idempotency_key,
        )

    async def perform(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        options: RenderedOptions,
        call: CallState,
        known: ReplyT | None = None,
    ) -> Reply[ReplyT]:
        """Carry out a call. Its errors are completed with the state of the call, and hold no credentials.

        A request with `If-None-Match` may be answered with 304: `known` is the data of the reply then.
        """
        try:
            operation.check(request)
            path = self._extensions_path(operation.name) if operation.is_extension else self._base.path
            body = operation.body(request)
            response = await self._chain(
                ClientRequest(
                    method=operation.method,
                    origin=self._base.origin,
                    target=path + operation.target(request, options.env_slug),
                    headers=options.get_headers if body is None else options.post_headers,
                    body=body,
                    operation=operation.name,
                    call=call,
                )
            )
            if response.is_success:
                data = await self._decode(operation, request, response, call)
            else:
                data = self._unless_changed(operation, response, known, call)
            if operation.is_by_id and not operation.answers(request, data):
                _raise_wrong_reply(operation.name)
            return Reply(
                data=data,
                response=response,
                request_id=request_id(response.headers),
                attempts=call.attempts,
                elapsed=self.clock.now() - call.started,
                idempotency_key=call.idempotency_key,
            )
        except BaseException as failure:
            error = self._completed(failure, operation.name, call)
            if error is failure:
                raise
        try:
            raise error  # outside of the handler, for the original exception may hold all of a wrong result
        finally:
            del error  # its traceback holds this frame

    def _completed(self, failure: BaseException, operation: str, call: CallState) -> BaseException:
        """Return the error of a call, with the state of the call and without credentials."""
        if isinstance(failure, AttributeError | TypeError):
            failure = wrong_result(failure, self._chain, attempts=call.attempts) or failure
        redactor_of(call.sent).error(failure)
        if isinstance(failure, AirplaneError):
            _annotate(failure, operation, call)
        reason = failure.__cause__ if isinstance(failure, DeadlineExceeded) else failure
        if isinstance(reason, ConnectError) and self._base.url == DEFAULT_BASE_URL:
            failure.args = (f"{failure.args[0]}; {_GONE}",)
        if self._close_idle is not None and isinstance(failure, DecodeError | InvalidResponse):
            self._close_idle(self._base.origin)  # replies to other requests may follow on the idle connections
        return failure

    async def _decode(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, response: Response, call: CallState
    ) -> ReplyT:
        """Return the data of a successful response. Raises DecodeError, or DeadlineExceeded if that takes too long."""
        if operation.acknowledge is not None:
            return operation.acknowledge(request)
        try:
            if len(response.body) <= _LARGE:
                return operation.decode(response.body)
            return await self._decode_large(operation, response.body, call.deadline)
        except OutOfTime:
            error: AirplaneError = DeadlineExceeded(f"{operation.name} succeeded, but its reply took too long to read")
            error.maybe_processed = True
        except UNREADABLE as problem:
            advice = _told_by(response) + ("" if self._base.has_version else f"; {version_advice(self._base)}")
            error = DecodeError(
                f"{operation.name} succeeded, but its reply cannot be read: {problem}{advice}", response
            )
        try:
            raise error  # outside of the handlers, for the original exception may hold all of the reply
        finally:
            del error  # its traceback holds this frame

    def _extensions_path(self, name: str) -> str:
        if (path := self._base.extensions_path) is None:
            raise ConfigurationError(
                f"{name} is an extension of the API, below /ext/v0 beside /v0, and base_url does not end in /v0: "
                f"{self._base.url}"
            )
        return path

    def _unless_changed(
        self, operation: Operation[RequestT, ReplyT], response: Response, known: T | None, call: CallState
    ) -> T:
        """Return what is known if the response says that it has not changed; raise the error that the response is."""
        if known is None or response.status != 304:
            raise status_error(response, operation, self._base, call.sent)
        return known

    async def _decode_large(
        self, operation: Operation[RequestT, ReplyT], body: bytes, deadline: float | None
    ) -> ReplyT:
        now = self.clock.now
        if deadline is None:
            return await self.offload(lambda: operation.decode(body), None)
        return await self.offload(lambda: operation.decode(body, lambda: now() >= deadline), deadline - now())


def _raise_wrong_reply(name: str) -> NoReturn:
    raise InvalidResponse(f"{name}: the reply is about another object than the requested one", transient=True)


def _told_by(response: Response) -> str:
    """Return the type that a reply gives itself if that is not JSON, as of the page of a proxy or of a login."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    return "" if not kind or "json" in kind.lower() else f"; the server says that it is {kind[:100]}"


def _annotate(error: AirplaneError, operation: str, call: CallState) -> None:
    error.operation = operation
    error.attempts = call.attempts
    error.idempotency_key = call.idempotency_key if call.attempts else None
    if call.given_up is not None and isinstance(error, APIError):
        error.add_note(f"Given up because {call.given_up}.")
    # An earlier attempt may have reached the server even if the last one surely did not.
    error.maybe_processed = error.maybe_processed or call.maybe_sent
