"""Adds the API key to every attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..http import API_KEY_HEADER, Request, Response
from ..options import Secret
from .interface import Next


class Auth:
    """Asks for the key anew for each attempt, so that it can be rotated while a call is retried."""

    def __init__(self, source: Callable[[], Secret]) -> None:
        self._source = source

    def __call__(self, request: Request, call_next: Next, /) -> Awaitable[Response]:
        """Send the request with the key, and report the key as a credential. A coroutine of its own would only cost."""
        # The key itself is never bound to a local name: a traceback may show those.
        headers = request.headers.merged({API_KEY_HEADER: self._source().reveal()})
        request.call.sent += (headers,)
        return call_next(request.with_headers(headers))

    def __repr__(self) -> str:
        return "Auth(***)"
