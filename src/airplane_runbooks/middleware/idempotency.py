"""Gives every POST a key that all of its attempts share: the server recognises a repetition by it."""

from __future__ import annotations

import os
from collections.abc import Awaitable

from ..http import IDEMPOTENCY_HEADER, Request, Response
from .interface import Next

# Seconds for which a server promises to recognise a key.
KEY_LIFETIME = 3600.0

_VARIANTS = {digit: "89ab"[number & 3] for number, digit in enumerate("0123456789abcdef")}


class Idempotency:
    """Makes the key before the retry loop. A key of the caller's own takes precedence."""

    def __call__(self, request: Request, call_next: Next, /) -> Awaitable[Response]:
        """Send the request with its key. A coroutine of its own would only cost."""
        if request.method == "GET":
            return call_next(request)
        call = request.call
        if call.idempotency_key is None:
            call.idempotency_key = new_key()
        headers = request.headers.merged({IDEMPOTENCY_HEADER: call.idempotency_key})
        return call_next(request.with_headers(headers))


def new_key() -> str:
    """Return a random UUID, version 4 (RFC 9562), at a third of the cost of building a UUID object."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"
