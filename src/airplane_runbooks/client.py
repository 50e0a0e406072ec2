"""The client: a transport, the chain composed around it, and the resources on top."""

from __future__ import annotations

import copy
import functools
import platform
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import UNSET, UnsetType

from .clock import BlockingClock, Clock
from .errors import ConfigurationError
from .http import Reply, Request, Response, Transport
from .operations import Operation, ReplyT, RequestT
from .options import (
    DEFAULT_BASE_URL,
    ApiKey,
    BaseURL,
    CallOptions,
    Resolved,
    Secret,
    Settings,
    as_secret_source,
    parse_base_url,
    resolve,
)
from .pipeline import Middleware, compose, run_blocking
from .policy import RetryBudget, RetryPolicy
from .resources.prompts import Prompts
from .resources.runbooks import Runbooks
from .resources.runs import Runs
from .resources.sessions import Sessions
from .resources.tasks import Tasks
from .version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

USER_AGENT = f"airplane-runbooks/{__version__} python/{platform.python_version()}"

# How many sets of options a client remembers the computed form of: environments, mostly.
_REMEMBERED = 64


class Airplane:
    """Client of the Airplane v0 API. Threads may share it; one client per process and key is enough.

    Explicit arguments go before the environment (AIRPLANE_API_KEY, AIRPLANE_API_HOST, AIRPLANE_ENV_SLUG,
    AIRPLANE_ENV_ID), which is read once, here.

    Args:
        api_key: The key, or a callable that returns the current one and is asked before every attempt.
        base_url: Base of all URLs, version path included.
        env_slug: Environment of all calls, by slug.
        env_id: Environment of all calls, by ID.
        timeout: Seconds for a whole call with its attempts, waits and bodies; None sets no limit. 60 by default.
        attempt_timeout: Seconds for one attempt. 30 by default.
        retry: When to try again.
        retry_budget: Bound on the share of retries over all calls; None sets no bound.
        headers: Further headers of all requests.
        transport: What carries the requests; the client closes it. `Urllib3Transport()` by default.
        middleware: Layers around each call, the first one outermost.
        attempt_middleware: Layers around each attempt, inside of the retries.
        tracer_provider: Where spans go; the global provider by default.
        meter_provider: Where metrics go; the global provider by default.
        propagator: What writes trace headers; the global propagator by default.
        suppress_http_instrumentation: Keep other instrumentation from tracing our requests a second time.
        allow_insecure_http: Allow plain http to other machines, which shows the key to the network.
        clock: Source of time, for tests.

    Raises:
        ConfigurationError: If there is no key, or an argument cannot work.
    """

    _base: BaseURL | None = None  # a traceback may show a client that was never built

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        env_slug: str | None = None,
        env_id: str | None = None,
        timeout: float | UnsetType | None = UNSET,
        attempt_timeout: float | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        retry_budget: RetryBudget | UnsetType | None = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
        transport: Transport | None = None,
        middleware: Sequence[Middleware] = (),
        attempt_middleware: Sequence[Middleware] = (),
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        suppress_http_instrumentation: bool = True,
        allow_insecure_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        try:
            source = as_secret_source(_given_or(api_key, settings := Settings.from_env()))
        finally:
            del api_key  # a traceback that shows local variables must not show this one
        base = parse_base_url(
            base_url or settings.base_url or DEFAULT_BASE_URL, allow_insecure_http=allow_insecure_http
        )
        if env_slug is None and env_id is None:
            env_slug, env_id = settings.env_slug, settings.env_id
        options = CallOptions(
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry=retry,
            headers=headers,
            env_slug=env_slug,
            env_id=env_id,
        )
        # Imported here for the sake of those who import this package without building a client.
        from .core import Core, leaf
        from .middleware import chain
        from .middleware.tracing import AttemptSpan, Telemetry

        clock = BlockingClock() if clock is None else clock
        self._transport = _default_transport(base) if transport is None else transport
        telemetry = Telemetry(
            version=__version__,
            server_address=base.host,
            server_port=base.port,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            propagator=propagator,
        )
        layers = chain(
            source,
            clock,
            budget=RetryBudget() if retry_budget is UNSET else retry_budget,
            attempt_span=AttemptSpan(telemetry, suppress_http_instrumentation=suppress_http_instrumentation),
            per_call=middleware,
            per_attempt=attempt_middleware,
        )
        self._base = base
        self._clock = clock
        self._core = Core(base, compose(layers, leaf(self._carry, clock)), clock, telemetry)
        self._use(options)

    def _use(self, options: CallOptions) -> None:
        """Take options over, and compute once what all calls with them share."""
        self._options = options
        self._resolved = resolve(options, USER_AGENT)
        self._remember = functools.lru_cache(maxsize=_REMEMBERED)(self._resolve)
        self.runbooks = Runbooks(self)
        self.sessions = Sessions(self)
        self.runs = Runs(self)
        self.tasks = Tasks(self)
        self.prompts = Prompts(self)

    async def _carry(self, request: Request, timeout: float | None) -> Response:
        return self._transport.send(request, timeout)

    def _resolve(self, options: CallOptions) -> Resolved:
        return resolve(options.over(self._options), USER_AGENT)

    def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, *, options: CallOptions | None = None
    ) -> Reply[ReplyT]:
        """Carry out any operation and return its reply with the response, the request ID and the attempts.

        Raises:
            ConfigurationError: The request or an option cannot work; nothing was sent.
            APIError: The server answered with an error; the class tells which.
            TransportError: No response came back, and no attempt was left.
            DeadlineExceeded: The time for the call is used up.
            DecodeError: The call succeeded, but its reply cannot be read.
        """
        if options is None:
            resolved = self._resolved
        elif options.headers is UNSET and options.idempotency_key is UNSET:
            resolved = self._remember(options)
        else:
            resolved = self._resolve(options)
        return run_blocking(self._core.call(operation, request, resolved))

    def with_options(
        self,
        *,
        timeout: float | UnsetType | None = UNSET,
        attempt_timeout: float | UnsetType | None = UNSET,
        retry: RetryPolicy | UnsetType = UNSET,
        headers: Mapping[str, str] | UnsetType = UNSET,
        env_slug: str | UnsetType | None = UNSET,
        env_id: str | UnsetType | None = UNSET,
    ) -> Self:
        """Return a client with these options put over its own, on the same transport, chain and retry budget.

        Closing either closes both.
        """
        clone = copy.copy(self)
        changes = CallOptions(
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            retry=retry,
            headers=headers,
            env_slug=env_slug,
            env_id=env_id,
        )
        clone._use(changes.over(self._options))  # noqa: SLF001  # of our own class
        return clone

    def close(self) -> None:
        """Close the transport, and cut waits between attempts short. Closing twice is fine."""
        self._clock.close()
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Airplane(base_url={self._base.url!r})" if self._base else "<Airplane, not built>"


def _given_or(api_key: ApiKey | None, settings: Settings) -> ApiKey | Secret:
    if api_key is not None:
        return api_key
    if settings.api_key is None:
        raise ConfigurationError("no API key: pass api_key or set AIRPLANE_API_KEY")
    return settings.api_key


def _default_transport(base: BaseURL) -> Transport:
    from .transports.urllib3 import Urllib3Transport

    transport = Urllib3Transport()
    transport.prepare(base.origin)
    return transport
