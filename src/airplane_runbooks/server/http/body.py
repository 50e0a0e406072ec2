"""Request bodies: read within limits of size and time, decompressed within the same size."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import Request

from ..errors import Invalid, TooLarge, TooSlow

_GZIP = 31  # zlib's window bits: the largest window, in a gzip wrapper


async def read(request: Request, limit: int, patience: float) -> bytes:
    """Read a body of at most `limit` bytes within `patience` seconds. Raises Refused, or Starlette's ClientDisconnect.

    A longer one is refused on the strength of its Content-Length, or else as soon as it has become too long.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise TooSlow("request_timeout", f"the body did not arrive within {patience:g} seconds") from None
    return bytes(body)


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding, up to `limit` bytes. Raises Refused."""
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
