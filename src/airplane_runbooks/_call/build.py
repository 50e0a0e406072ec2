"""Construction of a client's core: its telemetry, its layers, and the chain of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..clock import Clock
from ..middleware import Middleware, Next
from ..middleware.chain import layers
from ..options import BaseURL, Secret
from ..policy import RetryBudget
from ..telemetry.absent import is_absent
from ..telemetry.extra import ExtraAttributes
from ..version import __version__
from ..waiters.long_polls import LongPolls
from .core import Core
from .pipeline import compose

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

    from ..middleware.compression import Offload
    from ..telemetry.client import ClientTelemetry
else:
    # Keeps `get_type_hints` working; loaded by a client that compresses, or when the process loads OpenTelemetry.
    MeterProvider = TextMapPropagator = TracerProvider = ClientTelemetry = Offload = Any


def build_core(
    base: BaseURL,
    secret_source: Callable[[], Secret],
    clock: Clock,
    link: Next,
    *,
    offload: Offload,
    close_idle: Callable[[str], object] | None,
    pool_size: int,
    retry_budget: RetryBudget | None,
    middleware: Sequence[Middleware],
    attempt_middleware: Sequence[Middleware],
    attributes: Mapping[str, str | int],
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    propagator: TextMapPropagator | None,
    suppress_http_instrumentation: bool,
    extra_attributes: ExtraAttributes,
    compress_from: int | None,
) -> Core:
    """Return the core of a new client."""
    chain = layers(
        secret_source,
        clock,
        budget=retry_budget,
        per_call=middleware,
        per_attempt=attempt_middleware,
        compression=None if compress_from is None else _compression(compress_from, offload),
    )

    def observed() -> tuple[Next, ClientTelemetry]:
        from ..middleware.tracing import AttemptSpan  # late: they load OpenTelemetry
        from ..telemetry.client import ClientTelemetry

        telemetry = ClientTelemetry(
            base,
            version=__version__,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            propagator=propagator,
            extra=extra_attributes,
            attributes=attributes,
        )
        span = AttemptSpan(telemetry, suppress_http_instrumentation=suppress_http_instrumentation)
        return compose([*chain, span], link), telemetry

    is_observed = not is_absent() or any(part is not None for part in (tracer_provider, meter_provider, propagator))
    return Core(
        base,
        None if is_observed else compose(chain, link),
        observed,
        clock,
        offload=offload,
        close_idle=close_idle,
        long_polls=LongPolls(pool_size),
    )


def _compression(compress_from: int, offload: Offload) -> Middleware:
    from ..middleware.compression import Compression  # late: few clients compress

    return Compression(compress_from, offload)
