"""Long polls (RFC 7240): requests that a server answers once something has changed, and the bound on their number."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

import msgspec

from ..http import Headers, is_header_value
from ..options import RenderedOptions
from ..transports.base import call_in_children

# Longest wait in seconds. Many proxies close a connection on which nothing has arrived for half a minute.
LONGEST_WAIT = 20

# Seconds that an attempt keeps for everything but the server's wait, and that the deadline keeps for the reply.
_FOR_THE_ATTEMPT = 5.0
_FOR_THE_REPLY = 0.5

_LONGEST_ETAG = 1024


class LongPolls:
    """Places for the long polls of one client: half of the transport's pool, so that other calls find connections.

    A forked child has all places for itself, as it has connections of its own.

    Args:
        pool_size: Requests that the transport carries at a time.
    """

    def __init__(self, pool_size: int) -> None:
        self._size = pool_size // 2
        self._reset()
        call_in_children(self, LongPolls._reset)

    def _reset(self) -> None:
        # A deque, whose methods are atomic: a fork could copy a lock while another thread holds it.
        self._places = deque([None] * self._size)

    @contextmanager
    def place(self) -> Generator[bool, None, None]:
        """Take a place for the length of a `with` statement; False if all are taken."""
        try:
            self._places.pop()
        except IndexError:
            yield False
            return
        try:
            yield True
        finally:
            self._places.append(None)


def seconds_to_wait(options: RenderedOptions, *, longest: float, left: float | None) -> int:
    """Return the whole seconds that the server may wait; 0 if the time left is too short for a long poll.

    Args:
        options: The options of the poll, whose timeouts must not pass meanwhile.
        longest: Upper bound.
        left: Seconds until the deadline of the wait; None without one.
    """
    timeouts = [one - _FOR_THE_ATTEMPT for one in (options.attempt_timeout, options.timeout) if one is not None]
    deadline = [] if left is None else [left - _FOR_THE_REPLY]
    return max(0, math.floor(min(longest, *timeouts, *deadline)))


def conditional(options: RenderedOptions, *, wait: int | None, etag: str | None) -> RenderedOptions:
    """Return the options of a request that the server may answer late, or with 304.

    Args:
        options: The options to start from. A `Prefer` among their headers is kept.
        wait: Seconds that the server may wait; None for an ordinary poll.
        etag: ETag of the state that the client knows; None if it knows none.
    """
    headers: dict[str, str] = {}
    if wait is not None:
        given = options.get_headers.get("prefer")
        headers["prefer"] = f"{given}, wait={wait}" if given else f"wait={wait}"
    if etag is not None:
        headers["if-none-match"] = etag
    return msgspec.structs.replace(options, get_headers=options.get_headers.merged(headers)) if headers else options


def etag_of(headers: Headers) -> str | None:
    """Return the ETag of a response; None if there is none that could be sent back."""
    etag = headers.get("etag", "")
    return etag if 0 < len(etag) <= _LONGEST_ETAG and is_header_value(etag) else None
