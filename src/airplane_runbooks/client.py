"""The clients: a transport, the chain composed around it, and the resources on top."""

from __future__ import annotations

import copy
import functools
import platform
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from msgspec import UNSET, UnsetType

from ._call.clock import AsyncioClock, BlockingClock, Clock
from ._call.pipeline import Middleware, compose, run_blocking
from .errors import ConfigurationError
from .http import AsyncTransport, Fields, Reply, Request, Response, Transport
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
from .policy import RetryBudget, RetryPolicy
from .resources.prompts import AsyncPrompts, Prompts
from .resources.runbooks import AsyncRunbooks, Runbooks
from .resources.runs import AsyncRuns, Runs
from .resources.sessions import AsyncSessions, Sessions
from .resources.tasks import AsyncTasks, Tasks
from .version import __version__
from .waiters.scope import Composite

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider
else:
    MeterProvider = TextMapPropagator = TracerProvider = Any  # for those who read annotations; loaded with a client

T = TypeVar("T")
TransportT = TypeVar("TransportT")

USER_AGENT = f"airplane-runbooks/{__version__} python/{platform.python_version()}"

# How many sets of options a client remembers the computed form of: environments, mostly.
_REMEMBERED = 64


class _Client(ABC, Generic[TransportT]):
    """What the clients have in common: how they are built and cloned, and what their options come to."""

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
        transport: TransportT | None = None,
        middleware: Sequence[Middleware] = (),
        attempt_middleware: Sequence[Middleware] = (),
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        suppress_http_instrumentation: bool = True,
        opt_in_attributes: Collection[str] = (),
        allow_insecure_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        try:
            source = as_secret_source(_given_or(api_key, settings := Settings.from_env()))
        finally:
            del api_key  # a traceback that shows local variables must not show this one
        headers = _discreet(headers)
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
        from ._call.core import Core, leaf
        from .middleware import chain
        from .telemetry.attributes import OptIn
        from .telemetry.instruments import Telemetry
        from .telemetry.spans import AttemptSpan

        opt_in = OptIn.parse(opt_in_attributes)
        clock = self._default_clock() if clock is None else clock
        self._transport = self._default_transport() if transport is None else transport
        if (prepare := getattr(self._transport, "prepare", None)) is not None:
            prepare(base.origin)
        telemetry = Telemetry(
            base,
            version=__version__,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            propagator=propagator,
            opt_in=opt_in,
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
        close_idle = getattr(self._transport, "close_idle", None)
        send = compose(layers, leaf(self._carry, clock))
        self._core = Core(base, send, clock, telemetry, aside=self._aside, close_idle=close_idle)
        self._use(options)

    def _use(self, options: CallOptions) -> None:
        """Take options over, and compute once what all calls with them share."""
        self._options = options
        self._resolved = resolve(options, USER_AGENT)
        self._remember = functools.lru_cache(maxsize=_REMEMBERED)(self._resolve)
        self._bind()

    @abstractmethod
    def _bind(self) -> None:
        """Make the resources."""
        ...

    @abstractmethod
    def _default_clock(self) -> Clock: ...

    @abstractmethod
    def _default_transport(self) -> TransportT: ...

    @abstractmethod
    async def _carry(self, request: Request, timeout: float | None) -> Response: ...

    @abstractmethod
    async def _aside(self, function: Callable[[], T], seconds: float | None) -> T:
        """Call a function where it holds nobody up but the caller. Raises OutOfTime."""
        ...

    def _resolve(self, options: CallOptions) -> Resolved:
        return resolve(options.over(self._options), USER_AGENT)

    def _resolved_for(self, options: CallOptions | None) -> Resolved:
        if options is None:
            return self._resolved
        if options.headers is UNSET and options.idempotency_key is UNSET:
            with suppress(TypeError):  # a strategy of the user's for retries need not be hashable
                return self._remember(options)
        return self._resolve(options)

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
        headers = _discreet(headers)
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

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(base_url={self._base.url!r})" if self._base else f"<{name}, not built>"


class Airplane(_Client[Transport]):
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
        opt_in_attributes: What the spans of attempts are to show besides, by the names that the HTTP conventions have
            for it: `url.template` (which also makes it part of the span's name and of the metric), `url.scheme`,
            `user_agent.original`, `http.request.body.size`, `http.response.body.size`, and any
            `http.request.header.<name>` or `http.response.header.<name>`.
        allow_insecure_http: Allow plain http to other machines, which shows the key to the network.
        clock: Source of time, for tests.

    Raises:
        ConfigurationError: If there is no key, or an argument cannot work.
    """

    def _bind(self) -> None:
        self.runbooks = Runbooks(self)
        self.sessions = Sessions(self)
        self.runs = Runs(self)
        self.tasks = Tasks(self)
        self.prompts = Prompts(self)

    def _default_clock(self) -> Clock:
        return BlockingClock()

    def _default_transport(self) -> Transport:
        from .transports.urllib3._transport import Urllib3Transport

        return Urllib3Transport()

    async def _carry(self, request: Request, timeout: float | None) -> Response:
        return self._transport.send(request, timeout)

    async def _aside(self, function: Callable[[], T], seconds: float | None) -> T:  # noqa: ARG002 - there is no loop to hold up
        return function()

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
        return run_blocking(self._core.call(operation, request, self._resolved_for(options)))

    def _compose(self, name: str, steps: Callable[[Composite], Awaitable[T]], options: CallOptions | None) -> T:
        return run_blocking(self._core.compose(name, steps, self._resolved_for(options)))

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


class AsyncAirplane(_Client[AsyncTransport]):
    """Client of the Airplane v0 API for asyncio. Tasks may share it; one client per process and key is enough.

    It takes the arguments of `Airplane`, with an async transport; by default that is a `ThreadedTransport`, urllib3 on
    a few threads of its own. `AiohttpTransport` carries more requests at a time. What both clients have does the same.

    A cancelled call leaves nothing behind and is not tried again.
    """

    def _bind(self) -> None:
        from .middleware.retry import preload

        preload()
        self.runbooks = AsyncRunbooks(self)
        self.sessions = AsyncSessions(self)
        self.runs = AsyncRuns(self)
        self.tasks = AsyncTasks(self)
        self.prompts = AsyncPrompts(self)

    def _default_clock(self) -> Clock:
        return AsyncioClock()

    def _default_transport(self) -> AsyncTransport:
        from .transports.threaded import ThreadedTransport

        return ThreadedTransport()

    async def _carry(self, request: Request, timeout: float | None) -> Response:
        return await self._transport.send(request, timeout)

    async def _aside(self, function: Callable[[], T], seconds: float | None) -> T:
        from ._call.aside import call_aside

        return await call_aside(function, seconds)

    async def call(
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
        return await self._core.call(operation, request, self._resolved_for(options))

    async def _compose(self, name: str, steps: Callable[[Composite], Awaitable[T]], options: CallOptions | None) -> T:
        return await self._core.compose(name, steps, self._resolved_for(options))

    async def aclose(self) -> None:
        """Close the transport, and cut waits between attempts short. Closing twice is fine."""
        self._clock.close()
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _discreet(headers: Mapping[str, str] | UnsetType) -> Mapping[str, str] | UnsetType:
    """Return headers whose repr, in a traceback that shows local variables, does not show credentials."""
    return Fields(headers) if isinstance(headers, Mapping) else headers


def _given_or(api_key: ApiKey | None, settings: Settings) -> ApiKey | Secret:
    if api_key is not None:
        return api_key
    if settings.api_key is None:
        raise ConfigurationError("no API key: pass api_key or set AIRPLANE_API_KEY")
    return settings.api_key
