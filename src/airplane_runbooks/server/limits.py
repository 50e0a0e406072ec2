"""How much the server takes on."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what one server accepts from all of its clients.

    Attributes:
        max_body: Bytes of a request's body, decompressed.
        max_calls: Calls being answered at a time; the ones beyond it get 429.
        max_connections: Open connections; requests on the ones beyond it get 503.
        body_timeout: Seconds until the whole body of a request must be there.
        head_timeout: Seconds from a request's first byte until its headers must be there, or its connection is closed.
        keep_alive: Whole seconds for which a connection may stay open without a request.
    """

    max_body: int = 8 * 1024 * 1024
    max_calls: int = 128
    max_connections: int = 1024
    body_timeout: float = 30.0
    head_timeout: float = 10.0
    keep_alive: int = 65
