"""What resources share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec import UNSET

from ..http import Reply
from ..operations import Operation, ReplyT, RequestT
from ..options import CallOptions
from ..waiters.scope import Composite

T = TypeVar("T")


class Caller(Protocol):
    """The methods of a client that its resources use."""

    def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, *, options: CallOptions | None = None
    ) -> Reply[ReplyT]:
        """Carry out an operation."""
        ...

    def _compose(self, name: str, steps: Callable[[Composite], Awaitable[T]], options: CallOptions | None) -> T: ...


class AsyncCaller(Protocol):
    """The same of an async client."""

    async def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, *, options: CallOptions | None = None
    ) -> Reply[ReplyT]:
        """Carry out an operation."""
        ...

    async def _compose(
        self, name: str, steps: Callable[[Composite], Awaitable[T]], options: CallOptions | None
    ) -> T: ...


class Resource:
    """A group of operations of one client."""

    __slots__ = ("_client",)

    def __init__(self, client: Caller) -> None:
        self._client = client


class AsyncResource:
    """A group of operations of one async client."""

    __slots__ = ("_client",)

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client


def in_env(options: CallOptions | None, env_slug: str | None, env_id: str | None) -> CallOptions | None:
    """Put the environment of one call over its options."""
    if env_slug is None and env_id is None:
        return options
    named = CallOptions(env_slug=env_slug or UNSET, env_id=env_id or UNSET)
    return named if options is None else named.over(options)
