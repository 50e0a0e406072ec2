"""The protocol of middleware, which users implement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ..http import Request, Response

Next = Callable[[Request], Awaitable[Response]]


class Middleware(Protocol):
    """A layer around the rest of the chain.

    It may change the request, call `call_next` any number of times, and look at or replace the response. Every HTTP
    status comes back as a response; failures without one are raised as TransportError. One instance serves all calls of
    a client, from all its threads, so what belongs to one call must not be kept on it.

    In a sync client it must not await anything that really suspends, `call_next` aside.
    """

    def __call__(self, request: Request, call_next: Next, /) -> Awaitable[Response]:
        """Handle one request. Mostly written as `async def`."""
        ...
