"""Common ground of the transports: a limit, and a fresh start in forked children."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024

_ASSUMED_POOL_SIZE = 32

_resets: set[weakref.WeakMethod[Callable[[], None]]] = set()


def call_in_children(reset: Callable[[], None]) -> None:
    """Call a method of a transport in each child that this process forks, as long as the transport lives.

    Two processes on one socket would read each other's answers, so a child must let go of its parent's connections.
    """
    _resets.add(weakref.WeakMethod(reset, _resets.discard))


def _reset_transports() -> None:
    for reference in list(_resets):
        if (reset := reference()) is not None:
            reset()


def pool_size_of(transport: object) -> int:
    """Return the number of requests that a transport carries at a time, or an assumption if it does not tell."""
    size = getattr(transport, "pool_size", None)
    return size if isinstance(size, int) else _ASSUMED_POOL_SIZE


# Systems without fork have nothing to register with.
getattr(os, "register_at_fork", dict)(after_in_child=_reset_transports)
