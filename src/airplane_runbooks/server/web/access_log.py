"""Access log: a line for each request with its method, route, status, duration and user. It shows no values."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from functools import partial

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..observers.logging import Fields, write_event
from .edge import PROBE_PATHS
from .scope import FACTS, PARK, Wait, client_address

LOGGER = logging.getLogger("airplane_runbooks.server.access")


class AccessLog:
    """Writes a line for each request once it is answered, a long poll after its wait.

    A path may hold values, so the line has the path of the route instead. `fixed_paths` are those that are routes
    themselves. Probes that succeed are left out.
    """

    def __init__(self, app: ASGIApp, fixed_paths: Collection[str]) -> None:
        self._app = app
        self._fixed_paths = fixed_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and write its line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        entry = _Entry(scope, self._fixed_paths)
        scope = {**scope, FACTS: entry.facts}
        park: Callable[[Wait], object] | None = scope.get(PARK)
        if park is not None:
            scope[PARK] = partial(_park, park, entry)

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            if not entry.is_parked:
                entry.write()


def _park(park: Callable[[Wait], object], entry: _Entry, wait: Wait) -> None:
    park(entry.after(wait))


class _Entry:
    """A request on its way."""

    __slots__ = ("_begun", "_fixed_paths", "_method", "facts", "is_parked", "status")

    def __init__(self, scope: Scope, fixed_paths: Collection[str]) -> None:
        self._begun = time.monotonic()
        self._fixed_paths = fixed_paths
        self._method: str = scope["method"]
        self.facts: dict[str, str] = {"address": client_address(scope)}
        self.is_parked = False
        self.status: int | None = None

    def after(self, wait: Wait) -> Wait:
        """Return a function that waits and then writes the line."""
        self.is_parked = True

        async def logged_wait(scope: Scope, receive: Receive) -> Response:
            try:
                response = await wait(scope, receive)
                self.status = response.status_code
                return response
            finally:
                self.write()

        return logged_wait

    def write(self) -> None:
        """Write the line."""
        path = self.facts.pop("path", "")
        route = self.facts.pop("route", path if path in self._fixed_paths else "")
        if route in PROBE_PATHS and self.status == 200:
            return
        fields: Fields = {"method": self._method[:20]}
        if route:
            fields["route"] = route
        if self.status is not None:
            fields["status"] = self.status
        fields["duration"] = round(time.monotonic() - self._begun, 3)
        write_event(LOGGER, logging.INFO, "RequestAnswered", {**fields, **self.facts})
