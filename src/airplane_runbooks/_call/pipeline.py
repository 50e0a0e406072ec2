"""The middleware chain: written once as coroutines, awaited by the async client, stepped by the sync client."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from ..errors import MiddlewareSuspended
from ..http import Request, Response
from ..middleware import Middleware, Next
from ..middleware.wrong_results import note_layers

T = TypeVar("T")


def compose(middleware: Iterable[Middleware], send: Next) -> Next:
    """Wrap `send` in the given layers, the first one outermost."""
    for layer in reversed(tuple(middleware)):
        send = _bind(layer, send)
    return send


def _bind(layer: Middleware, call_next: Next) -> Next:
    def call(request: Request) -> Awaitable[Response]:
        return layer(request, call_next)

    note_layers(call, layer, call_next)
    return call


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result.

    If it does suspend, it is closed, and MiddlewareSuspended names the place.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    places = " -> ".join(_suspended(coroutine))
    coroutine.close()
    raise MiddlewareSuspended(f"a sync client cannot await {places}, which suspends; use AsyncAirplane")


def _suspended(coroutine: Coroutine[Any, Any, Any]) -> Iterator[str]:
    """Yield the names of the coroutines that wait for one another, the outermost first."""
    place: Any = coroutine
    while hasattr(place, "cr_await"):
        yield place.__qualname__
        place = place.cr_await
