"""The clients: a transport, the chain of middleware around it, and the resources on top."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import UNSET

from ._base_client import BaseClient
from .clock import AsyncioClock, BlockingClock, Clock
from .http import AsyncTransport, Reply, Transport
from .middleware import Next
from .options import CallOptions, Timeout, render

if TYPE_CHECKING:
    from ._call.runner import AsyncRunner, BlockingRunner
    from .middleware.compression import Offload
    from .operations import Operation, ReplyT, RequestT
    from .resources.asyncio.prompts import AsyncPrompts
    from .resources.asyncio.runbooks import AsyncRunbooks
    from .resources.asyncio.runs import AsyncRuns
    from .resources.asyncio.sessions import AsyncSessions
    from .resources.asyncio.tasks import AsyncTasks
    from .resources.asyncio.uploads import AsyncUploads
    from .resources.prompts import Prompts
    from .resources.runbooks import Runbooks
    from .resources.runs import Runs
    from .resources.sessions import Sessions
    from .resources.tasks import Tasks
    from .resources.uploads import Uploads
else:
    # Keeps `get_type_hints` working; loaded with the first call, or by an async client.
    Offload = RequestT = ReplyT = Any
    BlockingRunner = Prompts = Runbooks = Runs = Sessions = Tasks = Uploads = Any
    AsyncRunner = AsyncPrompts = AsyncRunbooks = AsyncRuns = AsyncSessions = AsyncTasks = AsyncUploads = Any
    Operation = Annotated  # of two types, it reads as the first one


class Airplane(BaseClient[Transport]):
    """Client of the Airplane v0 API. Threads may share it; one client per process and key is enough.

    Explicit arguments take precedence over the environment (AIRPLANE_API_KEY, AIRPLANE_API_HOST, AIRPLANE_ENV_SLUG,
    AIRPLANE_ENV_ID), which is read once, here.

    Args:
        api_key: The key, or a callable that returns the current one and is asked before every attempt.
        base_url: Base of all URLs, version path included. `http+unix://` and a percent-encoded path, in place of a
            host, lead to a Unix-domain socket.
        env_slug: Environment of all calls, by slug.
        env_id: Environment of all calls, by ID.
        timeout: Seconds for a whole call with its attempts, waits and bodies; None sets no limit. 60 by default.
        attempt_timeout: Seconds for one attempt. 30 by default.
        retry: When to try again.
        retry_budget: Bound on the share of retries over all calls; None sets no bound.
        headers: Further headers of all requests.
        transport: Carries the requests; the client closes it. `Urllib3Transport()` by default.
        middleware: Layers around each call, the first one outermost.
        attempt_middleware: Layers around each attempt, inside of the retries.
        bundles: What wrapping SDKs add; see `Bundle` for their order.
        tracer_provider: Receives spans; the global provider by default.
        meter_provider: Receives metrics; the global provider by default.
        propagator: Writes trace headers; the global propagator by default.
        suppress_http_instrumentation: Keep other instrumentation from tracing our requests a second time.
        opt_in_attributes: Names of further attributes for the spans of attempts, from the HTTP conventions:
            `url.template` (it also becomes part of the span's name and of the metric), `url.scheme`,
            `user_agent.original`, `http.request.body.size`, `http.response.body.size`, and any
            `http.request.header.<name>` or `http.response.header.<name>`.
        pool_metrics: Report how many of the transport's connections are in use and idle, and how many requests wait
            for one.
        compress_from: Bytes from which request bodies are sent gzipped, if that makes them smaller. Never by default,
            since servers may not understand it.
        allow_insecure_http: Allow plain http to other machines, which sends the key over the network in the clear.
        clock: Source of time, for tests.

    Raises:
        ConfigurationError: If there is no key, or an argument cannot work.
    """

    def _use(self, options: CallOptions) -> None:
        render(options, self._user_agent)  # raises if one cannot work
        self._options = options

    # What follows is loaded when it is first used, and is an ordinary attribute from then on.

    @cached_property
    def _runner(self) -> BlockingRunner:
        from ._call.runner import BlockingRunner

        return BlockingRunner(self._core.get(), self._options, self._user_agent)

    @cached_property
    def runbooks(self) -> Runbooks:
        """Operations on runbooks."""
        from .resources.runbooks import Runbooks

        return Runbooks(self._runner)

    @cached_property
    def sessions(self) -> Sessions:
        """Operations on sessions."""
        from .resources.sessions import Sessions

        return Sessions(self._runner)

    @cached_property
    def runs(self) -> Runs:
        """Operations on runs."""
        from .resources.runs import Runs

        return Runs(self._runner)

    @cached_property
    def tasks(self) -> Tasks:
        """Operations on tasks."""
        from .resources.tasks import Tasks

        return Tasks(self._runner)

    @cached_property
    def prompts(self) -> Prompts:
        """Operations on prompts."""
        from .resources.prompts import Prompts

        return Prompts(self._runner)

    @cached_property
    def uploads(self) -> Uploads:
        """Operations on uploads."""
        from .resources.uploads import Uploads

        return Uploads(self._runner)

    def _default_clock(self) -> Clock:
        return BlockingClock()

    def _default_transport(self) -> Transport:
        from .transports.urllib3 import Urllib3Transport

        return Urllib3Transport()

    @staticmethod
    def _link(transport: Any, clock: Clock) -> Next:
        from ._call.link import transport_link

        return transport_link(transport, clock)

    @staticmethod
    def _offload() -> Offload:
        from ._call.runner import call_inline

        return call_inline

    def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Reply[ReplyT]:
        """Carry out any operation and return its reply with the response, the request ID and the attempts.

        Raises:
            ConfigurationError: The request or an option cannot work; nothing was sent.
            APIError: The server answered with an error status; each has a class.
            TransportError: No response came back, and no attempt was left.
            DeadlineExceeded: The time for the call is used up.
            DecodeError: The call succeeded, but its reply cannot be read.
        """
        return self._runner.call(operation, request, options, timeout)

    def warm_up(self, connections: int = 1, *, timeout: float | None = 30.0) -> None:
        """Open connections, TLS included, and load all modules that calls need, so that the first calls need not.

        A transport of your own opens none unless it has a method `warm_up`.

        Args:
            connections: Number of connections that are open afterwards, at most as many as the transport keeps.
            timeout: Seconds for all of them; None sets no limit.

        Raises:
            TransportError: A connection could not be opened.
        """
        _load_rest()
        _ = self.runbooks, self.sessions, self.runs, self.tasks, self.prompts, self.uploads
        if (warm_up := getattr(self._transport, "warm_up", None)) is not None:
            warm_up(self._origin, connections, timeout)

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


class AsyncAirplane(BaseClient[AsyncTransport]):
    """Client of the Airplane v0 API for asyncio. Tasks may share it; one client per process and key is enough.

    It takes the arguments of `Airplane`, with an async transport: an `AsyncioTransport` by default, on connections of
    the event loop. Methods behave as those of `Airplane`.

    A cancelled call leaves nothing behind and is not tried again.
    """

    def _use(self, options: CallOptions) -> None:
        # Loaded now, for no import may hold up the event loop.
        from .telemetry.client import ClientTelemetry

        _load_rest()
        self._options = options
        _ = ClientTelemetry, self.runbooks, self.sessions, self.runs, self.tasks, self.prompts, self.uploads

    @cached_property
    def _runner(self) -> AsyncRunner:
        from ._call.runner import AsyncRunner

        return AsyncRunner(self._core.get(), self._options, self._user_agent)

    @cached_property
    def runbooks(self) -> AsyncRunbooks:
        """Operations on runbooks."""
        from .resources.asyncio.runbooks import AsyncRunbooks

        return AsyncRunbooks(self._runner)

    @cached_property
    def sessions(self) -> AsyncSessions:
        """Operations on sessions."""
        from .resources.asyncio.sessions import AsyncSessions

        return AsyncSessions(self._runner)

    @cached_property
    def runs(self) -> AsyncRuns:
        """Operations on runs."""
        from .resources.asyncio.runs import AsyncRuns

        return AsyncRuns(self._runner)

    @cached_property
    def tasks(self) -> AsyncTasks:
        """Operations on tasks."""
        from .resources.asyncio.tasks import AsyncTasks

        return AsyncTasks(self._runner)

    @cached_property
    def prompts(self) -> AsyncPrompts:
        """Operations on prompts."""
        from .resources.asyncio.prompts import AsyncPrompts

        return AsyncPrompts(self._runner)

    @cached_property
    def uploads(self) -> AsyncUploads:
        """Operations on uploads."""
        from .resources.asyncio.uploads import AsyncUploads

        return AsyncUploads(self._runner)

    def _default_clock(self) -> Clock:
        return AsyncioClock()

    def _default_transport(self) -> AsyncTransport:
        from .transports.asyncio import AsyncioTransport

        return AsyncioTransport()

    @staticmethod
    def _link(transport: Any, clock: Clock) -> Next:
        from ._call.link import async_transport_link

        return async_transport_link(transport, clock)

    @staticmethod
    def _offload() -> Offload:
        from ._call.offload import call_in_thread

        return call_in_thread

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        timeout: Timeout = UNSET,
        options: CallOptions | None = None,
    ) -> Reply[ReplyT]:
        """Carry out any operation and return its reply with the response, the request ID and the attempts.

        Raises:
            ConfigurationError: The request or an option cannot work; nothing was sent.
            APIError: The server answered with an error status; each has a class.
            TransportError: No response came back, and no attempt was left.
            DeadlineExceeded: The time for the call is used up.
            DecodeError: The call succeeded, but its reply cannot be read.
        """
        return await self._runner.call(operation, request, options, timeout)

    async def warm_up(self, connections: int = 1, *, timeout: float | None = 30.0) -> None:
        """Open connections, TLS included, so that the first calls need not.

        A transport of your own opens none unless it has a method `warm_up`.

        Args:
            connections: Number of connections that are open afterwards, at most as many as the transport keeps.
            timeout: Seconds for all of them; None sets no limit.

        Raises:
            TransportError: A connection could not be opened.
        """
        if (warm_up := getattr(self._transport, "warm_up", None)) is not None:
            await warm_up(self._origin, connections, timeout)

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


def _load_rest() -> None:
    """Load the modules that only some calls need: those that fail, wait or read values by a schema."""
    import html

    from .middleware.retry import preload
    from .schema.reading import validate
    from .waiters import follow, results

    preload()
    _ = html, validate, follow, results
