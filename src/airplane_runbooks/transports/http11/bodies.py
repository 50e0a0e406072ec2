"""Bodies: content codings are undone within a limit."""

from __future__ import annotations

import zlib

from ...errors import InvalidResponse
from ...http import Headers, Response
from .heads import Head

_KNOWN_CODINGS = frozenset({"br", "compress", "deflate", "x-compress", "zstd"})


def decode_body(body: bytes, coding: str | None, max_size: int) -> bytes:
    """Undo the content coding. Raises InvalidResponse if it is unknown, broken, or hides over `max_size` bytes."""
    coding = (coding or "identity").strip().lower()
    if coding == "identity" or not body:
        return body
    # Its name is not shown unless we know it: it might be anything, the start of the API key included.
    shown = f"the content coding {coding!r}" if coding in _KNOWN_CODINGS else "a content coding"
    problem = f"the server used {shown} that was not asked for"
    if coding in ("gzip", "x-gzip"):
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            data = inflate.decompress(body, max_size + 1)
        except zlib.error:
            problem = "the compressed body of the response is broken"
        else:
            if len(data) > max_size:
                problem = f"the response is larger than the limit of {max_size} bytes when decompressed"
            elif inflate.eof and not inflate.unused_data:
                return data
            else:
                problem = "the compressed body of the response is cut short, or something follows it"
            del data
    del body, coding
    raise InvalidResponse(problem)


def as_response(head: Head, body: bytes, max_size: int) -> Response:
    """Return the response that a head and a body, still encoded, make. Raises as `decode_body` does."""
    coding = head.headers.get("content-encoding")
    if coding is not None:
        try:
            body = decode_body(body, coding, max_size)
        except InvalidResponse as failure:
            failure.status = head.status
            del body, coding
            raise
    return Response(status=head.status, headers=Headers.of(head.headers), body=body, http_version="1." + head.version)
