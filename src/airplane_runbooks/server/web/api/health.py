"""Probes for whoever runs the server: does it live, and is it of use."""

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
from .endpoint import refuse, respond

PATIENCE = 1.0  # seconds that the database has to answer
FRESH = 1.0  # seconds for which a good answer holds: nobody needs a key to ask


class HealthProbes:
    """The probes of one application. They need no key and tell nothing of what is served."""

    def __init__(self, lifecycle: Lifecycle, threads: RequestThreads) -> None:
        self._lifecycle = lifecycle
        self._threads = threads
        self._look: asyncio.Task[None] | None = None
        self._well_at = -math.inf

    @property
    def routes(self) -> list[Route]:
        """What to serve, below the root of the application."""
        return [
            Route("/healthz", self.live, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def live(self, request: Request) -> Response:
        """Answer, which says it all."""
        return respond(request, StoredReply(200, b'{"status":"ok"}'))

    async def ready(self, request: Request) -> Response:
        """Answer 200 if calls can be answered: not while closing, with no worker left, or unable to write."""
        try:
            await self._check()
        except ApiError as problem:
            return refuse(request, problem)
        return respond(request, StoredReply(200, b'{"status":"ready"}'))

    async def _check(self) -> None:
        if self._lifecycle.stopping:
            raise Closing("closing", "the server is closing")
        if not self._lifecycle.has_workers:
            raise Unavailable("no_worker", "no worker is left: all have ended up with functions that never return")
        if time.monotonic() < self._well_at + FRESH:
            return
        if self._look is None or self._look.done():  # one at a time, however many ask: it may take for ever
            self._look = asyncio.create_task(self._threads.run(self._lifecycle.probe))
        look = self._look
        await asyncio.wait({look}, timeout=PATIENCE)
        if not look.done() or look.cancelled() or look.exception() is not None:
            raise Unavailable("store_unavailable", "the database cannot be written to")
        self._well_at = time.monotonic()
