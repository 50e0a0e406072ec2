"""All that this SDK adds to a client, in one object."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from airplane_runbooks import Bundle, CallOptions, Next, Request, Response

VERSION = "1.4"

logger = logging.getLogger("acme_ops")
_ticket: ContextVar[str | None] = ContextVar("acme_ops.ticket", default=None)


def bundle(team: str) -> Bundle:
    """Return what to pass as `bundles=` to a client that you build yourself."""
    return Bundle(
        middleware=(add_ticket, log_call),
        options=CallOptions(timeout=20, headers={"X-Acme-Team": team}),
        attributes={"acme.team": team},
        user_agent=f"acme-ops/{VERSION}",
    )


@contextmanager
def ticket(name: str) -> Generator[None]:
    """Name the ticket in whose name all calls within this block are made."""
    token = _ticket.set(name)
    try:
        yield
    finally:
        _ticket.reset(token)


async def add_ticket(request: Request, call_next: Next, /) -> Response:
    """Send the ticket along."""
    name = _ticket.get()
    return await call_next(request if name is None else request.with_header("X-Acme-Ticket", name))


async def log_call(request: Request, call_next: Next, /) -> Response:
    """Log each call with its status. It is called once for all attempts."""
    response = await call_next(request)
    logger.info("%s: %d", request.operation, response.status)
    return response
