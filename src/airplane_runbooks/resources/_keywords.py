"""Keyword arguments that methods with several signatures share, as type checkers see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Required, TypedDict

from ..models import Session
from ..options import CallOptions, Timeout
from ..policy import PollPolicy
from ..waiters.handlers import AsyncPromptHandler, PromptHandler


class _Wait(TypedDict, total=False):
    wait_timeout: Required[float | None]
    poll: PollPolicy | None
    on_progress: Callable[[Session, float], object] | None
    timeout: Timeout
    options: CallOptions | None


class WaitKeywords(_Wait, total=False):
    """Keywords of a wait."""

    on_prompt: PromptHandler | None


class AsyncWaitKeywords(_Wait, total=False):
    """Keywords of a wait of an async client."""

    on_prompt: AsyncPromptHandler | None


class RunKeywords(WaitKeywords, total=False):
    """Keywords of an execution and a wait."""

    env_slug: str | None
    env_id: str | None


class AsyncRunKeywords(AsyncWaitKeywords, total=False):
    """Keywords of an execution and a wait of an async client."""

    env_slug: str | None
    env_id: str | None
