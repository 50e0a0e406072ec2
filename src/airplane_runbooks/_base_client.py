"""Construction and options of both clients."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from msgspec import UNSET, UnsetType

from ._call.deferred import DeferredCore
from .bundles import Bundle, checked_layers, combine
from .clock import Clock
from .errors import ConfigurationError
from .http import Fields
from .middleware import Middleware, Next
from .options import (
    DEFAULT_BASE_URL,
    ApiKey,
    BaseURL,
    CallOptions,
    Secret,
    Settings,
    Timeout,
    as_secret_source,
    check_compress_from,
    check_shared,
    parse_base_url,
)
from .policy import RetryBudget, RetryPolicy
from .telemetry.extra import ExtraAttributes
from .transports.base import pool_size_of
from .version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

    from ._call.core import Core
    from .middleware.compression import Offload
else:
    MeterProvider = TextMapPropagator = TracerProvider = Core = Offload = Any  # keeps `get_type_hints` working

TransportT = TypeVar("TransportT")

USER_AGENT = f"airplane-runbooks/{__version__} python/{sys.version.split()[0]}"


class BaseClient(ABC, Generic[TransportT]):
    """Construction and options of both clients."""

    _base: BaseURL | None = None  # a traceback may show a client whose construction has failed
    _options: CallOptions

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        timeout: Timeout = UNSET,
        attempt_timeout: Timeout = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        retry_budget: RetryBudget | UnsetType | None = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
        transport: TransportT | None = None,
        middleware: Sequence[Middleware] = (),
        attempt_middleware: Sequence[Middleware] = (),
        bundles: Sequence[Bundle] = (),
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        suppress_http_instrumentation: bool = True,
        opt_in_attributes: Collection[str] = (),
        pool_metrics: bool = False,
        compress_from: int | None = None,
        allow_insecure_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        try:
            source = as_secret_source(_given_or(api_key, settings := Settings.from_env()))
        finally:
            del api_key  # a traceback that shows local variables must not show this one
        headers = _with_hidden_values(headers)
        base = parse_base_url(
            base_url if base_url is not None else settings.base_url or DEFAULT_BASE_URL,
            allow_insecure_http=allow_insecure_http,
        )
        own = CallOptions(
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry=retry,
            headers=headers,
            env_slug=UNSET if env_slug is None else env_slug,
            env_id=UNSET if env_id is None else env_id,
        )
        check_shared(own)
        combined = combine(
            Bundle(
                middleware=checked_layers("middleware", middleware),
                attempt_middleware=checked_layers("attempt_middleware", attempt_middleware),
                options=own,
                user_agent=USER_AGENT,
            ),
            bundles,
        )
        from_environment = CallOptions(env_slug=settings.env_slug, env_id=settings.env_id)
        extra = ExtraAttributes.parse(opt_in_attributes)
        check_compress_from(compress_from)
        clock = self._default_clock() if clock is None else clock
        transport = self._default_transport() if transport is None else transport
        _check_transport(transport)
        if (prepare := getattr(transport, "prepare", None)) is not None:
            prepare(base.origin)
        new_link, new_offload = self._link, self._offload
        budget = RetryBudget() if retry_budget is UNSET else retry_budget
        if not isinstance(budget, RetryBudget | None):
            raise ConfigurationError(f"retry_budget must be a RetryBudget or None, not {type(budget).__name__}")

        def build() -> Core:
            from ._call.build import build_core

            return build_core(
                base,
                source,
                clock,
                new_link(transport, clock),
                offload=new_offload(),
                close_idle=getattr(transport, "close_idle", None),
                pool_size=pool_size_of(transport),
                retry_budget=budget,
                middleware=combined.middleware,
                attempt_middleware=combined.attempt_middleware,
                attributes=combined.attributes,
                tracer_provider=tracer_provider,
                meter_provider=meter_provider,
                propagator=propagator,
                suppress_http_instrumentation=suppress_http_instrumentation,
                extra_attributes=extra,
                compress_from=compress_from,
            )

        self._core = DeferredCore(build)
        if any(part is not None for part in (tracer_provider, meter_provider, propagator)):
            self._core.get()  # one that cannot work says so here
        if pool_metrics:
            from .telemetry.pool_metrics import observe_pool  # late: few clients report their pools

            observe_pool(transport, __version__, meter_provider)
        self._base = base
        self._origin = base.origin
        self._clock = clock
        self._transport = transport
        self._user_agent = combined.user_agent
        self._use(combined.options.over(from_environment))

    @abstractmethod
    def _use(self, options: CallOptions) -> None:
        """Take these options for all calls. Raises ConfigurationError if one cannot work."""
        ...

    @abstractmethod
    def _default_clock(self) -> Clock: ...

    @abstractmethod
    def _default_transport(self) -> TransportT: ...

    @staticmethod
    @abstractmethod
    def _link(transport: Any, clock: Clock) -> Next:
        """Return the innermost link of the chain."""
        ...

    @staticmethod
    @abstractmethod
    def _offload() -> Offload:
        """Return the function that decodes large bodies."""
        ...

    def with_options(
        self,
        *,
        timeout: Timeout = UNSET,
        attempt_timeout: Timeout = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
        env_slug: str | UnsetType | None = UNSET,
        env_id: str | UnsetType | None = UNSET,
    ) -> Self:
        """Return a client with these options over its own. It shares the transport, the chain and the retry budget.

        Closing either closes both.
        """
        clone = object.__new__(type(self))
        vars(clone).update({name: own for name, own in vars(self).items() if not _is_cached(type(self), name)})
        headers = _with_hidden_values(headers)
        changes = CallOptions(
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry=retry,
            headers=headers,
            env_slug=env_slug,
            env_id=env_id,
        )
        check_shared(changes)
        clone._use(changes.over(self._options))
        return clone

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(base_url={self._base.url!r})" if self._base else f"<{name}, not built>"


def _with_hidden_values(headers: Mapping[str, str] | UnsetType) -> Mapping[str, str] | UnsetType:
    """Return headers whose repr hides the values: a traceback may show local variables."""
    return Fields(headers) if isinstance(headers, Mapping) else headers


def _check_transport(transport: object) -> None:
    if isinstance(transport, type):
        raise ConfigurationError(f"transport must be an object: {transport.__name__}(), not {transport.__name__}")


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), cached_property)


def _given_or(api_key: ApiKey | None, settings: Settings) -> ApiKey | Secret:
    if api_key is not None:
        return api_key
    if settings.api_key is None:
        raise ConfigurationError("no API key: pass api_key or set AIRPLANE_API_KEY")
    return settings.api_key
