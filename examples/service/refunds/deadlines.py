"""The time that a request may take: what its caller says, or a budget."""

from __future__ import annotations

import math
from time import monotonic
from typing import Annotated

from fastapi import Depends, Header, HTTPException

BUDGET = 10.0  # seconds
_RESERVE = 0.05  # seconds to write our own answer in


class Deadline:
    """The moment at which the caller of a request stops waiting."""

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that a call may take. They are few, but never none, as the client wants it."""
        return max(self._at - monotonic() - _RESERVE, 0.001)


def deadline(x_request_timeout: Annotated[float | None, Header()] = None) -> Deadline:
    """Read the header `X-Request-Timeout`, in seconds."""
    seconds = BUDGET if x_request_timeout is None else x_request_timeout
    if not (math.isfinite(seconds) and seconds > 0):
        raise HTTPException(422, "X-Request-Timeout must be a positive number of seconds")
    return Deadline(min(seconds, BUDGET))


RequestDeadline = Annotated[Deadline, Depends(deadline)]
