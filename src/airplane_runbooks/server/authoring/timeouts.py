"""Timeouts as authors set them. Nothing is limited unless its author has set a timeout."""

from __future__ import annotations

import threading


class HasTimeout:
    """A function with a timeout of its own, in seconds of execution; None means no limit."""

    timeout: float | None = None


def checked_timeout(timeout: float | None) -> float | None:
    """Return a timeout in seconds. Raises TypeError for values that are not numbers, ValueError for bad numbers."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout= must be a number of seconds, not {type(timeout).__name__}")
    if not 0 < timeout <= threading.TIMEOUT_MAX:
        raise ValueError("timeout= must be a positive number of seconds, or None for no limit")
    return float(timeout)
