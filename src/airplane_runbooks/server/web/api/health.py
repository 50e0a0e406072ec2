"""Health probes for load balancers and operators: liveness and readiness."""

from __future__ import annotations

import asyncio
import math
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import ApiError, Closing, Unavailable
from ...service.lifecycle import Lifecycle
from ...storage.idempotency import StoredReply
from ..threads import RequestThreads
from .replies import error_response, json_response

PROBE_TIMEOUT = 1.0  # seconds for the database to answer
REUSED_FOR = 1.0  # seconds for which a success is reused, since probes need no key


class HealthProbes:
    """Probes of one application. They need no key and show nothing of its runbooks."""

    def __init__(self, lifecycle: Lifecycle, threads: RequestThreads) -> None:
        self._lifecycle = lifecycle
        self._threads = threads
        self._probe: asyncio.Task[None] | None = None
        self._succeeded_at = -math.inf

    @property
    def routes(self) -> list[Route]:
        """Routes below the root of the application."""
        return [
            Route("/healthz", self.live, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def live(self, request: Request) -> Response:
        """Answer 200: the process is alive."""
        return json_response(request, StoredReply(200, b'{"status":"ok"}'))

    async def ready(self, request: Request) -> Response:
        """Answer 200 if a worker is left, the database takes writes, and the server is not closing."""
        try:
            await self._check()
        except ApiError as problem:
            return error_response(request, problem)
        return json_response(request, StoredReply(200, b'{"status":"ready"}'))

    async def _check(self) -> None:
        if self._lifecycle.stopping:
            raise Closing("closing", "the server is closing")
        if not self._lifecycle.has_workers:
            raise Unavailable("no_worker", "no worker is left: each is stuck in a function that does not return")
        if time.monotonic() < self._succeeded_at + REUSED_FOR:
            return
        if self._probe is None or self._probe.done():  # one at a time for all requests, since it may hang
            self._probe = asyncio.create_task(self._threads.run(self._lifecycle.probe))
        probe = self._probe
        await asyncio.wait({probe}, timeout=PROBE_TIMEOUT)
        if not probe.done() or probe.cancelled() or probe.exception() is not None:
            raise Unavailable("store_unavailable", "the database cannot be written to")
        self._succeeded_at = time.monotonic()
