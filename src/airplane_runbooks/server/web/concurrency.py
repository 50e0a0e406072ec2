"""Limits on the requests that are being answered: one set for users, and one for callers without a key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from starlette.requests import Request

from ..service.identity import User
from .body import AnonymousBodyReader, BodyReader
from .limits import Limits
from .threads import RequestThreads

_SIGN_IN_MAX_BODY = 16 * 1024  # bytes
_SIGN_IN_TIMEOUT = 5.0  # seconds
_SIGN_IN_BODIES = 64  # that may be on their way at a time
_SIGN_IN_THREADS = 2


class ConcurrencyLimits(Protocol):
    """Reads bodies and hands out places within limits."""

    max_body: int

    async def read_body(self, request: Request, user: User | None) -> bytes:
        """Read the body of a request. Raises ApiError, or Starlette's ClientDisconnect."""
        ...

    def place(self) -> AbstractAsyncContextManager[None]:
        """Hold a place for a request as long as it is being answered. Raises TooMany."""
        ...


class UserConcurrency:
    """Limits for users. A request takes a place only once its body has arrived."""

    def __init__(self, limits: Limits, threads: RequestThreads) -> None:
        self.max_body = limits.max_body
        self._threads = threads
        self._bodies = BodyReader(limits.max_calls, limits.body_timeout)

    async def read_body(self, request: Request, user: User | None) -> bytes:
        """Read a body, counting those that are on their way from the same user."""
        return await self._bodies.read(request, self.max_body, "" if user is None else user.id)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Hold one of the places of all users."""
        with self._threads.admit():
            yield


class AnonymousConcurrency:
    """Limits for callers without a key. They take no places of users, no matter how many of them there are."""

    def __init__(self, limits: Limits) -> None:
        self.max_body = _SIGN_IN_MAX_BODY
        self._bodies = AnonymousBodyReader(_SIGN_IN_BODIES, min(limits.body_timeout, _SIGN_IN_TIMEOUT))
        self._places = asyncio.Semaphore(_SIGN_IN_THREADS)

    async def read_body(self, request: Request, user: User | None) -> bytes:
        """Read a body. When too many are on their way, the oldest makes room."""
        del user
        return await self._bodies.read(request, self.max_body)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Wait for one of few places."""
        async with self._places:
            yield
