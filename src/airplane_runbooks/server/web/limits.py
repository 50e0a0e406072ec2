"""How much the server takes on."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what one server accepts from all of its clients.

    Attributes:
        max_head: Bytes of a request's line and headers; larger ones get 431.
        max_headers: Headers of a request; more get 431.
        max_body: Bytes of a request's body, decompressed.
        max_calls: Calls being answered at a time, and bodies on their way from each user; the ones beyond it get 429.
        max_connections: Open connections. The oldest on which nobody has shown a key make room for new ones; when there
            are none of those, requests on the ones beyond it get 503, and one and a quarter times as many are not
            accepted at all.
        body_timeout: Seconds until the whole body of a request must be there.
        head_timeout: Seconds from a request's first byte until its headers must be there, or its connection is closed.
        write_timeout: Seconds in which a client must have taken the rest of a reply, or 256 KiB of it; those who take
            longer are cut off.
        keep_alive: Whole seconds for which a connection may stay open without a request.
    """

    max_head: int = 16 * 1024
    max_headers: int = 100
    max_body: int = 8 * 1024 * 1024
    max_calls: int = 256
    max_connections: int = 512
    body_timeout: float = 30.0
    head_timeout: float = 10.0
    write_timeout: float = 30.0
    keep_alive: int = 65
