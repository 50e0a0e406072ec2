"""One call, from its arguments to its reply, for both clients: everything between a resource and the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from .clock import Clock
from .errors import AirplaneError, AttemptTimeout, DecodeError
from .http import CallState, Reply, Request, Response
from .middleware.tracing import CallSpan, Telemetry
from .operations import Operation, ReplyT, RequestT
from .options import BaseURL, Resolved
from .pipeline import Next
from .replies import redacted, request_id, status_error


class Core:
    """What a client and its clones share. Calls are coroutines; with a sync transport and clock they never suspend."""

    def __init__(self, base: BaseURL, chain: Next, clock: Clock, telemetry: Telemetry) -> None:
        self._base = base
        self._chain = chain
        self._clock = clock
        self._telemetry = telemetry

    async def call(self, operation: Operation[RequestT, ReplyT], request: RequestT, options: Resolved) -> Reply[ReplyT]:
        """Carry out an operation under a span of its own, and leave on every error what the call has come to."""
        started = self._clock.now()
        call = CallState(
            operation=operation.name,
            started=started,
            deadline=None if options.timeout is None else started + options.timeout,
            attempt_timeout=options.attempt_timeout,
            retry=options.retry,
            idempotency_key=options.idempotency_key,
        )
        span = CallSpan(self._telemetry, operation.name)
        try:
            reply = await self._perform(operation, request, options, call)
        except BaseException as failure:
            if isinstance(failure, AirplaneError):
                _annotate(failure, call)
            span.end(call, failure)
            raise
        span.end(call, None, reply.data)
        return reply

    async def _perform(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, options: Resolved, call: CallState
    ) -> Reply[ReplyT]:
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
            raise status_error(response)
        return Reply(
            data=_decode(operation, response, call),
            response=response,
            request_id=request_id(response.headers),
            attempts=call.attempts,
            elapsed=self._clock.now() - call.started,
            idempotency_key=call.idempotency_key,
        )


def _decode(operation: Operation[RequestT, ReplyT], response: Response, call: CallState) -> ReplyT:
    try:
        return operation.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        kept = response if call.redact is None else redacted(response, call.redact)
        message = f"{operation.name} succeeded, but its reply cannot be read: {problem}"
        raise DecodeError(message, kept) from None


def _annotate(error: AirplaneError, call: CallState) -> None:
    error.operation = call.operation
    error.attempts = call.attempts
    error.idempotency_key = call.idempotency_key if call.attempts else None
    # An earlier attempt may have reached the server even if the last one surely did not.
    error.maybe_processed = error.maybe_processed or call.maybe_sent


def leaf(carry: Callable[[Request, float | None], Awaitable[Response]], clock: Clock) -> Next:
    """Return the innermost link of the chain: hand the request to the transport with the time that is left for it.

    An error response that repeats the API key does so to nobody beyond this point.
    """

    async def send(request: Request) -> Response:
        call = request.call
        timeout = call.attempt_timeout
        if call.deadline is not None:
            left = call.deadline - clock.now()
            if left <= 0:
                raise AttemptTimeout("no time left before the request could be sent", sent=False)
            timeout = left if timeout is None or left < timeout else timeout
        call.attempts += 1
        response = await carry(request, timeout)
        return response if response.is_success or call.redact is None else redacted(response, call.redact)

    return send
