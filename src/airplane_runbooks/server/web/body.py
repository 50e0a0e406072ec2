"""Request bodies: read within limits of number, size and time, and decompressed within the same size.

A body that is still on its way takes no resource that other callers need. A request takes its place only once its body
is there.
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
    UnsupportedEncoding,
)

_GZIP = 31  # zlib's window bits: the largest window, in a gzip wrapper


class BodyReader:
    """Reads the bodies of users: at most `max_per_user` of each user at a time.

    A user who announces bodies and does not send them blocks no other user.
    """

    def __init__(self, max_per_user: int, timeout: float) -> None:
        self._max_per_user = max_per_user
        self._timeout = timeout
        self._in_progress: Counter[str] = Counter()  # touched by the event loop only

    async def read(self, request: Request, max_body: int, user_id: str) -> bytes:
        """Read a body of at most `max_body` bytes. Raises ApiError, or Starlette's ClientDisconnect."""
        check_content_length(request, max_body)
        if self._in_progress[user_id] >= self._max_per_user:
            raise TooMany("too_many_requests", "too many bodies are being sent with this key at a time")
        self._in_progress[user_id] += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await _read(request, max_body)
        except TimeoutError:
            raise _too_slow(self._timeout) from None
        finally:
            self._in_progress[user_id] -= 1


class AnonymousBodyReader:
    """Reads the bodies of callers who are not known yet: at most `max_bodies` at a time.

    When there are that many, the one that has been waited for longest is given up. A browser sends its form at once, so
    callers who do not send what they announce do not block others.
    """

    def __init__(self, max_bodies: int, timeout: float) -> None:
        self._max_bodies = max_bodies
        self._timeout = timeout
        self._in_progress: dict[asyncio.Timeout, None] = {}  # in the order of their arrival

    async def read(self, request: Request, max_body: int) -> bytes:
        """Read a body of at most `max_body` bytes. Raises ApiError, or Starlette's ClientDisconnect."""
        check_content_length(request, max_body)
        try:
            async with asyncio.timeout(self._timeout) as timeout:
                self._make_room()
                self._in_progress[timeout] = None
                try:
                    return await _read(request, max_body)
                finally:
                    self._in_progress.pop(timeout, None)
        except TimeoutError:
            raise _too_slow(self._timeout) from None

    def _make_room(self) -> None:
        if len(self._in_progress) < self._max_bodies:
            return
        oldest = next(iter(self._in_progress))
        del self._in_progress[oldest]
        if not oldest.expired():
            oldest.reschedule(0)  # a moment long past


def check_content_length(request: Request, max_body: int) -> None:
    """Raise TooLarge if the Content-Length exceeds the limit, before a byte of the body is read."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > max_body:
        raise _too_large(max_body)


async def _read(request: Request, max_body: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_body:
            raise _too_large(max_body)
    return bytes(body)


def decompress(body: bytes, encoding: str, max_body: int) -> bytes:
    """Undo a Content-Encoding, up to `max_body` bytes. Raises Invalid, TooLarge, UnsupportedEncoding."""
    encoding = encoding.strip().lower()
    if not body or encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise UnsupportedEncoding("unsupported_encoding", "Content-Encoding must be gzip or identity")
    try:
        return _gunzip(body, max_body)
    except zlib.error:
        raise Invalid("invalid_gzip", "the body is not valid gzip") from None


def _gunzip(body: bytes, max_body: int) -> bytes:
    stream = zlib.decompressobj(_GZIP)
    plain = stream.decompress(body, max_body + 1)
    if len(plain) > max_body:
        raise _too_large(max_body)
    if not stream.eof or stream.unused_data:
        raise Invalid("invalid_gzip", "the body is not one complete gzip stream")
    return plain


def _too_large(max_body: int) -> TooLarge:
    return TooLarge("body_too_large", f"the body has more than {max_body} bytes")


def _too_slow(timeout: float) -> TooSlow:
    return TooSlow("request_timeout", f"the body did not arrive within {timeout:g} seconds")
