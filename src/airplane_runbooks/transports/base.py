"""Common ground of the transports: a limit, and a fresh start in forked children."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024

_ASSUMED_POOL_SIZE = 32

_resets: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()


def call_in_children(owner: T, reset: Callable[[T], None]) -> None:
    """Call a method of a transport in each child that this process forks, as long as the transport lives.

    Two processes on one socket would read each other's answers, so a child must let go of its parent's connections.
    """
    _resets[owner] = reset


def _reset_transports() -> None:
    for owner, reset in list(_resets.items()):
        reset(owner)


def pool_size_of(transport: object) -> int:
    """Return the number of requests that a transport carries at a time, or an assumption if it does not tell."""
    size = getattr(transport, "pool_size", None)
    return size if isinstance(size, int) else _ASSUMED_POOL_SIZE


# Systems without fork have nothing to register with.
getattr(os, "register_at_fork", dict)(after_in_child=_reset_transports)
