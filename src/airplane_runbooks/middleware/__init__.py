"""The layers of the chain, one file each, and the order in which they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .._call.clock import Clock
from .._call.pipeline import Middleware
from ..options import Secret
from ..policy import RetryBudget
from .auth import Auth
from .idempotency import Idempotency
from .retry import Retry


def chain(
    secret_source: Callable[[], Secret],
    clock: Clock,
    *,
    budget: RetryBudget | None,
    attempt_span: Middleware,
    per_call: Iterable[Middleware] = (),
    per_attempt: Iterable[Middleware] = (),
) -> list[Middleware]:
    """Return a client's layers, the outermost first.

    The key is minted before the retries, so that all attempts share it; the API key is put on after them, so that each
    attempt asks for the current one; the attempt's span is innermost, so that it times nothing but the transport.
    """
    return [*per_call, Idempotency(), Retry(budget, clock), *per_attempt, Auth(secret_source), attempt_span]
