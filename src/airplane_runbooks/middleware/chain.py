"""The order of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..clock import Clock
from ..options import Secret
from ..policy import RetryBudget
from .auth import Auth
from .idempotency import Idempotency
from .interface import Middleware
from .retry import Retry


def layers(
    secret_source: Callable[[], Secret],
    clock: Clock,
    *,
    budget: RetryBudget | None,
    per_call: Iterable[Middleware] = (),
    per_attempt: Iterable[Middleware] = (),
    compression: Middleware | None = None,
) -> list[Middleware]:
    """Return a client's layers, the outermost first.

    The idempotency key is made before the retries, so that all attempts share it. The API key is added after them, so
    that each attempt asks for the current one. Bodies are compressed once, after all layers of the user's that are
    around a call. The span of an attempt goes below all of these, so that it times only the transport.
    """
    compressing = [] if compression is None else [compression]
    return [
        *per_call,
        *compressing,
        Idempotency(),
        Retry(budget, clock),
        *per_attempt,
        Auth(secret_source),
    ]
