"""Compresses large request bodies, for clients whose user asks for that."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from ..http import Request, Response
from .interface import Next

_GZIP = 31  # zlib's window bits: the largest window, in a gzip wrapper, whose time is left out
_LARGE = 64 * 1024  # bytes; compressing them takes longer than to start a thread

T = TypeVar("T")


class Offload(Protocol):
    """Calls a function so that only the caller waits for it."""

    async def __call__(self, function: Callable[[], T], seconds: float | None, /) -> T:
        """Return the result. Raises OutOfTime after this many seconds."""
        ...


class Compression:
    """Compresses the body of a call once, before all of its attempts. A body that would not get smaller stays plain."""

    def __init__(self, compress_from: int, offload: Offload) -> None:
        self._compress_from = compress_from
        self._offload = offload

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Send the request, its body compressed if that is large enough."""
        body = request.body
        if body is None or len(body) < self._compress_from or "content-encoding" in request.headers:
            return await call_next(request)
        packed = _gzip(body) if len(body) < _LARGE else await self._offload(partial(_gzip, body), None)
        if len(packed) < len(body):
            headers = request.headers.merged({"content-encoding": "gzip"})
            request = msgspec.structs.replace(request, headers=headers, body=packed)
        return await call_next(request)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, wbits=_GZIP)
