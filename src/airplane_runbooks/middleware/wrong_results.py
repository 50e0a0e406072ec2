"""Results of middleware that are not responses. Nothing here is called until such a result has raised an exception."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, Final

from ..errors import InvalidResponse
from .interface import Middleware, Next

_LAYERS: Final = "layers"  # attribute of a link


def note_layers(link: Any, layer: Middleware, inner: Next) -> None:
    """Note on a link which layers it leads through, the outermost first."""
    setattr(link, _LAYERS, (layer, *_layers(inner)))


def wrong_result(problem: AttributeError | TypeError, link: Next, *, attempts: int) -> InvalidResponse | None:
    """Return the error that names the layer whose result raised `problem`; None if something else did.

    It must be called in the frame that has awaited the link and read its result. `attempts` is the number of attempts
    so far: without one, nothing was sent.
    """
    place = problem.__traceback__
    if place is None or place.tb_next is not None:
        return None  # raised further inside, such as in the code of a middleware
    if isinstance(problem, TypeError):
        if "await" not in str(problem):
            return None
        fault = f"must be an `async def` or return an awaitable: {problem}"
    else:
        fault = f"must return a Response, not {type(problem.obj).__name__}"
    users = [_name_of(layer) for layer in takewhile(_is_of_user, _layers(link))]
    if not users:
        return None
    inner = f"; it may pass on the result of {' or '.join(users[1:])}" if users[1:] else ""
    return InvalidResponse(f"middleware {users[0]} {fault}{inner}", sent=None if attempts else False)


def _layers(link: Callable[..., object]) -> Sequence[Middleware]:
    return getattr(link, _LAYERS, ())


def _is_of_user(layer: Middleware) -> bool:
    return not type(layer).__module__.startswith(f"{__package__}.")


def _name_of(layer: Middleware) -> str:
    return getattr(layer, "__qualname__", None) or type(layer).__qualname__
