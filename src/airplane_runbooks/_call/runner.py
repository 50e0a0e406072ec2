"""Running operations to their end with the options of one client: blocking for sync clients, awaited for async ones."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET

from ..http import Reply
from ..operations import Operation, ReplyT, RequestT
from ..options import CallOptions, RenderedOptions, Timeout, checked_options, render
from ..waiters.scope import OperationScope
from .pipeline import run_blocking

if TYPE_CHECKING:
    from .core import Core
else:
    Core = Any  # keeps `get_type_hints` working; loaded with a client

T = TypeVar("T")

_CACHED = 64  # sets of call options that are kept rendered; they mostly name environments


class Runner:
    """Options of a client, rendered once, over the core that it shares with its clones.

    Attributes:
        core: The client's core.
        options: The client's options.
    """

    def __init__(self, core: Core, options: CallOptions, user_agent: str) -> None:
        self.core = core
        self.options = options
        self._defaults = render(options, user_agent)
        self._user_agent = user_agent
        self._render_cached = functools.lru_cache(maxsize=_CACHED)(functools.partial(_render, options, user_agent))

    def _rendered(self, options: CallOptions | None, timeout: Timeout) -> RenderedOptions:
        """Return the options of one call, put over the client's. Raises ConfigurationError if one cannot work.

        A timeout has a way of its own, for it may differ with every call: it must not fill the cache.
        """
        rendered = self._defaults if options is None else self._merged(options)
        return rendered if timeout is UNSET else rendered.with_timeout(timeout)

    def _merged(self, options: CallOptions) -> RenderedOptions:
        if isinstance(options, CallOptions) and options.headers is UNSET and options.idempotency_key is UNSET:
            with suppress(TypeError):  # strategies for retries need not be hashable
                return self._render_cached(options)
        return _render(self.options, self._user_agent, options)


def _render(base: CallOptions, user_agent: str, options: CallOptions) -> RenderedOptions:
    return render(checked_options(options).over(base), user_agent)


class BlockingRunner(Runner):
    """Runs the operations of a sync client."""

    def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        options: CallOptions | None,
        timeout: Timeout,
    ) -> Reply[ReplyT]:
        """Carry out one call."""
        own = self._defaults if options is None and timeout is UNSET else self._rendered(options, timeout)
        return run_blocking(self.core.call(operation, request, own))

    def run_operation(
        self,
        name: str,
        steps: Callable[[OperationScope], Awaitable[T]],
        options: CallOptions | None,
        timeout: Timeout,
    ) -> T:
        """Carry out an operation that needs several calls."""
        return run_blocking(self.core.run_operation(name, steps, self._rendered(options, timeout)))


class AsyncRunner(Runner):
    """Runs the operations of an async client."""

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        options: CallOptions | None,
        timeout: Timeout,
    ) -> Reply[ReplyT]:
        """Carry out one call."""
        own = self._defaults if options is None and timeout is UNSET else self._rendered(options, timeout)
        return await self.core.call(operation, request, own)

    async def run_operation(
        self,
        name: str,
        steps: Callable[[OperationScope], Awaitable[T]],
        options: CallOptions | None,
        timeout: Timeout,
    ) -> T:
        """Carry out an operation that needs several calls."""
        return await self.core.run_operation(name, steps, self._rendered(options, timeout))


async def call_inline(function: Callable[[], T], seconds: float | None) -> T:  # noqa: ARG001  # a sync client blocks
    """Call a function at once, for a client without an event loop."""
    return function()
