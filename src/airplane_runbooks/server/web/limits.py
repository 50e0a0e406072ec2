"""Limits on the requests and connections of a server."""

from __future__ import annotations

import msgspec

from ..bounds import Count, Number, Timeout, check_bounds


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one server, for all of its clients together.

    Attributes:
        max_head: Bytes of a request's line and headers; larger ones get 431.
        max_headers: Headers of a request; more get 431.
        max_body: Bytes of a request's body, decompressed.
        max_calls: Requests being answered at a time, and bodies on their way from each user; more get 429.
        max_connections: Open connections. The oldest without a valid key make room for new ones; if all have one,
            requests on further connections get 503, and beyond one and a quarter times as many none is accepted.
        max_waiting: Long polls that may wait at a time, not counted among the calls and connections; of one user at
            most half of them, if there are several users. More are answered at once.
        max_upload: Bytes of an uploaded file.
        max_uploads: Bytes of all uploaded files that are kept; those of one user may have half of them.
        body_timeout: Seconds until the whole body of a request must be there.
        head_timeout: Seconds from a request's first byte until its headers must be there, or its connection is closed.
        write_timeout: Seconds within which a client must take the rest of a reply, or 256 KiB of it; otherwise its
            connection is closed.
        keep_alive: Whole seconds for which a connection may stay open without a request.
    """

    max_head: Count = 16 * 1024
    max_headers: Count = 100
    max_body: Count = 8 * 1024 * 1024
    max_calls: Count = 256
    max_connections: Count = 512
    max_waiting: Number = 10_000
    max_upload: Number = 64 * 1024 * 1024
    max_uploads: Number = 1024 * 1024 * 1024
    body_timeout: Timeout = 30.0
    head_timeout: Timeout = 10.0
    write_timeout: Timeout = 30.0
    keep_alive: Number = 65

    def __post_init__(self) -> None:
        check_bounds(self)
