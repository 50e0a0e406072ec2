"""One attempt to send a delivery."""

from __future__ import annotations

import time

import msgspec

from ..._responses.reading import retry_after
from ...errors import AttemptTimeout, ClientClosed, ConnectError, ConnectionLost, TransportError
from ...http import Response, Transport
from ..storage.records import Delivery
from .targets import Target

ATTEMPT_TIMEOUT = 10.0  # seconds
MAX_RESPONSE_BYTES = 64 * 1024

_GONE = 410
_PROBLEMS: tuple[tuple[type[Exception], str], ...] = (
    (ConnectError, "no connection could be made"),
    (AttemptTimeout, f"the receiver did not answer within {ATTEMPT_TIMEOUT:g} seconds"),
    (ConnectionLost, "the connection broke before the receiver had answered"),
    (TransportError, "the receiver's answer is not HTTP, or too long"),
)


class Failed(msgspec.Struct, frozen=True):
    """A failed attempt.

    Attributes:
        problem: Reason, without anything of the URL.
        retry_after: Seconds that the receiver asks to wait, if it does.
        is_final: Whether the receiver wants no further attempt.
    """

    problem: str
    retry_after: float | None = None
    is_final: bool = False


def send(transport: Transport, target: Target, delivery: Delivery) -> Failed | None:
    """Send a delivery; None if the receiver has got it. Raises ClientClosed."""
    wall = time.time()
    try:
        response = transport.send(target.request(delivery, int(wall)), ATTEMPT_TIMEOUT)
    except ClientClosed:
        raise
    except TransportError as problem:
        return Failed(next(text for kind, text in _PROBLEMS if isinstance(problem, kind)))
    return None if response.is_success else _judged(response, wall)


def _judged(response: Response, wall: float) -> Failed:
    status = response.status
    if status == _GONE:
        return Failed("the receiver answered 410: it wants no more messages", is_final=True)
    redirects = " with a redirect, which is not followed" if 300 <= status < 400 else ""
    return Failed(f"the receiver answered {status}{redirects}", retry_after(response.headers, wall))
