"""Request bodies: read within limits of number, size and time, decompressed within the same size.

What is only on its way holds nothing that others need: a call takes its place once its body is there.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter

from starlette.requests import Request

from ..errors import (
    Invalid,
    TooLarge,
    TooMany,
    TooSlow,
)

_GZIP = 31  # zlib's window bits: the largest window, in a gzip wrapper


class BodyReader:
    """Reads the bodies of users: at most `most` of each user at a time.

    So users who do not send what they have announced only get in their own way.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._timeout = patience
        self._in_progress: Counter[str] = Counter()  # touched by the event loop only

    async def read(self, request: Request, limit: int, user_id: str) -> bytes:
        """Read a body of at most `limit` bytes. Raises ApiError, or Starlette's ClientDisconnect."""
        check_content_length(request, limit)
        if self._in_progress[user_id] >= self._most:
            raise TooMany("too_many_requests", "too many bodies are being sent with this key at a time")
        self._in_progress[user_id] += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await _read(request, limit)
        except TimeoutError:
            raise _too_slow(self._timeout) from None
        finally:
            self._in_progress[user_id] -= 1


class AnonymousBodyReader:
    """Reads the bodies of callers whom nobody knows yet: at most `places` at a time.

    When all places are taken, the one that has been waited for longest makes room. What a browser sends is there at
    once; those who do not send what they have announced keep nobody out.
    """

    def __init__(self, places: int, patience: float) -> None:
        self._places = places
        self._timeout = patience
        self._waiting: dict[asyncio.Timeout, None] = {}  # in the order of their arrival

    async def read(self, request: Request, limit: int) -> bytes:
        """Read a body of at most `limit` bytes. Raises ApiError, or Starlette's ClientDisconnect."""
        check_content_length(request, limit)
        try:
            async with asyncio.timeout(self._timeout) as wait:
                self._make_room()
                self._waiting[wait] = None
                try:
                    return await _read(request, limit)
                finally:
                    self._waiting.pop(wait, None)
        except TimeoutError:
            raise _too_slow(self._timeout) from None

    def _make_room(self) -> None:
        if len(self._waiting) < self._places:
            return
        oldest = next(iter(self._waiting))
        del self._waiting[oldest]
        if not oldest.expired():
            oldest.reschedule(0)  # a moment long past


def check_content_length(request: Request, limit: int) -> None:
    """Refuse a body on the strength of its Content-Length, before a byte of it is read. Raises TooLarge."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding, up to `limit` bytes. Raises ApiError."""
    encoding = encoding.strip().lower()
    if not body or encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Invalid("unsupported_encoding", "Content-Encoding may be gzip or identity")
    try:
        return _gunzip(body, limit)
    except zlib.error:
        raise Invalid("invalid_gzip", "the body is not gzip") from None


def _gunzip(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj(_GZIP)
    plain = stream.decompress(body, limit + 1)
    if len(plain) > limit:
        raise _too_large(limit)
    if not stream.eof or stream.unused_data:
        raise Invalid("invalid_gzip", "the body is not one whole gzip stream")
    return plain


def _too_large(limit: int) -> TooLarge:
    return TooLarge("body_too_large", f"the body has more than {limit} bytes")


def _too_slow(patience: float) -> TooSlow:
    return TooSlow("request_timeout", f"the body did not arrive within {patience:g} seconds")
