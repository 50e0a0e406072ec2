"""The middleware chain: written once as coroutines, awaited by the async client, stepped by the sync one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from ..errors import MiddlewareSuspended
from ..http import Request, Response

T = TypeVar("T")

Next = Callable[[Request], Awaitable[Response]]


class Middleware(Protocol):
    """A layer around the rest of the chain.

    It may change the request, call `call_next` any number of times, and look at or replace the response. Every HTTP
    status comes back as a response; failures without one are raised as TransportError. One instance serves all calls of
    a client, from all its threads, so what belongs to one call must not be kept on it.

    In a sync client it must not await anything that really suspends, `call_next` aside.
    """

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Handle one request."""
        ...


def compose(middleware: Iterable[Middleware], send: Next) -> Next:
    """Wrap `send` in the given layers, the first one outermost."""
    for layer in reversed(tuple(middleware)):
        send = _bind(layer, send)
    return send


def _bind(layer: Middleware, call_next: Next) -> Next:
    def call(request: Request) -> Awaitable[Response]:
        return layer(request, call_next)

    return call


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end.

    Raises MiddlewareSuspended, naming the place, if it does suspend; the coroutine is closed then.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    places = " -> ".join(_suspended(coroutine))
    coroutine.close()
    raise MiddlewareSuspended(f"a sync client cannot wait for what suspends here: {places}; use AsyncAirplane for it")


def _suspended(coroutine: Coroutine[Any, Any, Any]) -> Iterator[str]:
    """Name the coroutines that wait for one another, the outermost first."""
    place: Any = coroutine
    while hasattr(place, "cr_await"):
        yield place.__qualname__
        place = place.cr_await
