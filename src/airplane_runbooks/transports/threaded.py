"""Transport that carries async requests over a sync one, on threads of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from msgspec import UNSET, UnsetType

from ..errors import AttemptTimeout, ClientClosed, ConfigurationError, ConnectError
from ..http import Request, Response, Transport
from ..pools import PooledTransport, PoolFigures
from ._deadline import InterruptibleDeadline
from ._settings import at_least_one
from .base import DEFAULT_MAX_RESPONSE_BYTES, call_in_children, pool_size_of
from .urllib3 import DEFAULT_POOL_SIZE, Urllib3Transport

# Seconds: how long a thread may be late with its own, better account of a timeout; how long closing waits for threads.
_GRACE = 0.1
_PATIENCE = 2.0

Outcome = Response | BaseException


class ThreadedTransport:
    """Carry requests over a sync transport, each on a thread of a private pool.

    A request that finds all threads busy waits for its turn, first come, first served. One that is cancelled leaves the
    queue, or has its connection shut down, which frees its thread at once. Only two things keep a thread busy for
    longer, though no caller waits for them: name resolution, and a transport other than Urllib3Transport, until its
    timeout. The same transport serves any number of event loops. A forked child gets threads of its own.

    Args:
        transport: What carries the requests, and is closed with this. By default a Urllib3Transport with the options
            `pool_size`, `max_response_bytes`, `ssl_context` and `proxy`.
        pool_size: Threads, and requests in flight at most.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | UnsetType | None = UNSET,
    ) -> None:
        self._closed = False
        self._pool_size = pool_size
        are_set = (max_response_bytes, ssl_context, proxy) != (DEFAULT_MAX_RESPONSE_BYTES, None, UNSET)
        is_contradiction = transport is not None and are_set
        try:
            if transport is None:
                transport = Urllib3Transport(
                    pool_size=pool_size, max_response_bytes=max_response_bytes, ssl_context=ssl_context, proxy=proxy
                )
        finally:
            del proxy  # a traceback that shows local variables must not show its password
        if is_contradiction:
            raise ConfigurationError("max_response_bytes, ssl_context and proxy cannot be combined with transport=")
        at_least_one("pool_size", pool_size)
        self._sync = transport
        self._reset()
        call_in_children(self, ThreadedTransport._reset)

    @property
    def pool_size(self) -> int:
        """Requests in flight at most: a thread and a connection for each."""
        return min(self._pool_size, pool_size_of(self._sync))

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[_Job, None] = OrderedDict()
        self._running: set[_Job] = set()
        self._idle = self._pool_size
        self._executor = ThreadPoolExecutor(self._pool_size, "airplane-runbooks")

    def prepare(self, origin: str) -> None:
        """Build what requests to an origin need, TLS settings included, so that the first one need not."""
        if isinstance(self._sync, Urllib3Transport):
            self._sync.prepare(origin)

    def close_idle(self, origin: str) -> None:
        """Close the idle connections to an origin."""
        if isinstance(self._sync, Urllib3Transport):
            self._sync.close_idle(origin)

    def pool_figures(self) -> dict[str, PoolFigures]:
        """Return the figures of the sync transport, if it can tell them, with the requests that wait for a thread."""
        if not isinstance(self._sync, PooledTransport):
            return {}
        with self._lock:
            waiting = [job.request.origin for job in self._waiting]
        found = dict(self._sync.pool_figures())
        for origin in waiting:
            found[origin] = found.get(origin, PoolFigures()) + PoolFigures(waiting=1)
        return found

    async def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt. See `airplane_runbooks.http.AsyncTransport` for what it promises."""
        if timeout is not None and timeout <= 0:
            raise AttemptTimeout("no time to send the request in", sent=False)
        outcome = await self._outcome(_Job(request, timeout))
        try:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        finally:
            del outcome  # or its traceback would keep it, and it the traceback

    async def _outcome(self, job: _Job) -> Outcome:
        self._admit(job)
        job.start_timer(self._expire)
        try:
            return await job.outcome
        except BaseException:
            if not self._withdraw(job):
                job.deadline.interrupt()
            raise
        finally:
            job.stop_timer()

    def _admit(self, job: _Job) -> None:
        """Put a job into the queue, and a thread to work if one is idle."""
        with self._lock:
            if self._closed:
                raise ClientClosed("the transport has been closed", sent=False)
            self._waiting[job] = None
            if not self._idle:
                return
            try:
                self._executor.submit(self._work)
            except RuntimeError as problem:
                del self._waiting[job]
                raise ConnectError(f"no thread to send the request from: {problem}") from None
            self._idle -= 1

    def _withdraw(self, job: _Job) -> bool:
        """Take a job out of the queue; False if it has left it."""
        with self._lock:
            return self._waiting.pop(job, job) is None

    def _expire(self, job: _Job) -> None:
        if self._withdraw(job):
            job.end(ConnectError(f"all {self._pool_size} connections stayed busy until the time was up"))
        else:  # its thread has the better account of what happened, if it comes
            job.timer = job.loop.call_later(_GRACE, self._abandon, job)

    def _abandon(self, job: _Job) -> None:
        job.deadline.interrupt()
        job.end(AttemptTimeout("no time left, and no way to end what the request waits for", sent=job.sent))

    def _work(self) -> None:
        """Carry out what is waiting, on a thread of the pool, until nothing is."""
        while (job := self._next()) is not None:
            outcome = self._attempt(job.context, job.request, job.deadline)
            with self._lock:
                self._running.discard(job)
            job.settle(outcome)
            del job, outcome

    def _next(self) -> _Job | None:
        with self._lock:
            if not self._waiting:
                self._idle = min(self._idle + 1, self._pool_size)
                return None
            job, _ = self._waiting.popitem(last=False)
            self._running.add(job)
            return job

    def _attempt(self, context: contextvars.Context, request: Request, deadline: InterruptibleDeadline) -> Outcome:
        try:
            return context.run(self._send, request, deadline)
        except BaseException as failure:  # noqa: BLE001  # raised again where the request is awaited
            return failure
        finally:
            deadline.release()

    def _send(self, request: Request, deadline: InterruptibleDeadline) -> Response:
        # A subclass with a `send` of its own must be asked by it.
        if isinstance(self._sync, Urllib3Transport) and type(self._sync).send is Urllib3Transport.send:
            return self._sync.send_by(request, deadline)
        deadline.hold()
        return self._sync.send(request, deadline.left)

    async def aclose(self) -> None:
        """End all requests, close the transport and wait until the threads have ended. Closing twice is fine."""
        with self._lock:
            self._closed = True
            jobs = [*self._waiting, *self._running]
            self._waiting.clear()
        for job in jobs:
            job.settle(ClientClosed("the transport has been closed", sent=job.sent))
            job.deadline.interrupt()
        self._sync.close()
        self._executor.shutdown(wait=False)
        threads = self._executor._threads  # noqa: SLF001  # which only `shutdown` can wait for, and it blocks
        give_up = monotonic() + _PATIENCE
        while any(thread.is_alive() for thread in threads) and monotonic() < give_up:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.005)

    def __repr__(self) -> str:
        return f"ThreadedTransport(pool_size={self._pool_size}, closed={self._closed})"


class _Job:
    """A request on its way through the threads, and what becomes of it."""

    __slots__ = ("context", "deadline", "loop", "outcome", "request", "timer")

    def __init__(self, request: Request, timeout: float | None) -> None:
        self.request = request
        self.deadline = InterruptibleDeadline(timeout)
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        # The outcome is always a result: asyncio would log an exception that was never retrieved.
        self.outcome: asyncio.Future[Outcome] = self.loop.create_future()
        self.timer: asyncio.TimerHandle | None = None

    @property
    def sent(self) -> bool | None:
        """False if no byte of the request can have reached the server; None if that is unknown."""
        return None if self.deadline.is_used else False

    def start_timer(self, expire: Callable[[_Job], None]) -> None:
        """Call `expire` when the time is up."""
        if self.deadline.left is not None:
            self.timer = self.loop.call_later(self.deadline.left, expire, self)

    def stop_timer(self) -> None:
        """Cancel the timer."""
        if self.timer is not None:
            self.timer.cancel()

    def settle(self, outcome: Outcome) -> None:
        """End the job from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed, so no caller waits
            self.loop.call_soon_threadsafe(self.end, outcome)

    def end(self, outcome: Outcome) -> None:
        """End the job, unless it has ended."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
