"""Outages of a server that is asked again and again: told once each."""

from __future__ import annotations

from .._responses.reading import is_transient, status_error
from ..errors import AirplaneError, DeadlineExceeded, TransportError, escape_controls
from ..http import Request, Response
from ..middleware import Next
from ..operations import GET_SESSION
from ..waiters.schedule import may_pass
from .output import notes


class Outages:
    """Middleware that writes one line to stderr when a server begins not to answer for a session.

    Nothing is written for a long poll, which a proxy may cut off: an ordinary one follows it.
    """

    def __init__(self) -> None:
        self._is_out = False

    async def __call__(self, request: Request, call_next: Next, /) -> Response:
        """Send a request, and tell about a failure that may pass."""
        if request.operation != GET_SESSION.name:
            return await call_next(request)
        try:
            response = await call_next(request)
        except (TransportError, DeadlineExceeded) as error:
            self._note(request, error)
            raise
        is_out = is_transient(response.status, response.headers)
        self._note(request, status_error(response) if is_out else None)
        return response

    def _note(self, request: Request, failure: AirplaneError | None) -> None:
        if failure is None:
            self._is_out = False
        elif not self._is_out and request.call.long_poll is None and may_pass(failure):
            self._is_out = True
            notes().print(f"No answer for now: {escape_controls(str(failure))}; still trying.", soft_wrap=True)
