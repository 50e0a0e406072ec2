"""Base classes of the resources."""

from __future__ import annotations

from msgspec import UNSET

from .._call.runner import AsyncRunner, BlockingRunner
from ..options import CallOptions


class Resource:
    """A group of operations of one client."""

    __slots__ = ("_runner",)

    def __init__(self, runner: BlockingRunner) -> None:
        self._runner = runner


class AsyncResource:
    """A group of operations of one async client."""

    __slots__ = ("_runner",)

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner


def in_env(options: CallOptions | None, env_slug: str | None, env_id: str | None) -> CallOptions | None:
    """Return the options of one call with its environment put over theirs."""
    if env_slug is None and env_id is None:
        return options
    named = CallOptions(env_slug=env_slug or UNSET, env_id=env_id or UNSET)
    return named if options is None else named.over(options)
