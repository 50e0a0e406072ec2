"""The innermost link of the chain, which hands the request to the transport."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NoReturn

from .._responses.redaction import redactor_of
from ..clock import Clock
from ..errors import AttemptTimeout, InvalidResponse
from ..http import (
    IDEMPOTENCY_HEADER,
    AsyncTransport,
    CallState,
    Request,
    Response,
    Transport,
    is_echo,
)
from ..middleware import Next


def transport_link(transport: Transport, clock: Clock) -> Next:
    """Return the link to a sync transport. It never suspends."""

    async def send(request: Request) -> Response:
        timeout = _begin_attempt(request.call, clock)
        return _checked(request, transport.send(request, timeout), transport)

    return send


def async_transport_link(transport: AsyncTransport, clock: Clock) -> Next:
    """Return the link to an async transport."""

    async def send(request: Request) -> Response:
        timeout = _begin_attempt(request.call, clock)
        pending = transport.send(request, timeout)
        try:
            response = await pending
        except TypeError:
            if isinstance(pending, Awaitable):
                raise
            _raise_not_async(transport)
        return _checked(request, response, transport)

    return send


def _begin_attempt(call: CallState, clock: Clock) -> float | None:
    """Count an attempt, and return the seconds that it may take. Raises AttemptTimeout if no time is left."""
    call.attempts += 1
    timeout = call.attempt_timeout
    if call.deadline is None:
        return timeout
    left = call.deadline - clock.now()
    if left <= 0:
        raise AttemptTimeout("no time left before the request could be sent", sent=False)
    return left if timeout is None or left < timeout else timeout


def _checked(request: Request, response: Response, transport: object) -> Response:
    """Return the response, an error response without the credentials that it repeats.

    Raises InvalidResponse if it answers another request, or is not what a transport must return.
    """
    try:
        echo = response.headers.raw().get(IDEMPOTENCY_HEADER)
    except AttributeError:
        _raise_unusable(transport, response)
    if echo is not None and not is_echo(echo, request.headers.raw().get(IDEMPOTENCY_HEADER)):
        raise InvalidResponse("the server's reply answers another request", transient=True)
    return response if response.is_success else redactor_of(request.call.sent).response(response)


def _raise_unusable(transport: object, response: object) -> NoReturn:
    name = _type_of(transport)
    if isinstance(response, Response):
        raise InvalidResponse(f"the headers in a Response of {name} must be Headers, not {_type_of(response.headers)}")
    raise InvalidResponse(f"{name}.send must return a Response, not {_type_of(response)}")


def _raise_not_async(transport: object) -> NoReturn:
    name = _type_of(transport)
    raise InvalidResponse(f"{name}.send must be `async def` for AsyncAirplane; ThreadedTransport makes {name} async")


def _type_of(value: object) -> str:
    return type(value).__name__
