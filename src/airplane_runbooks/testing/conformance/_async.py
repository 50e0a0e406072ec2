"""The same tests for async transports: each is given a sync face, behind which an event loop runs in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import pytest

from ...http import AsyncTransport, Request, Response, Transport
from ._support import Case

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class SyncFace:
    """An async transport, as sync tests use it.

    Attributes:
        cancel_after: Seconds after which the next send is cancelled, which its caller sees as a KeyboardInterrupt.
    """

    def __init__(self, transport: AsyncTransport, run: Run) -> None:
        self._transport = transport
        self._run = run
        self.cancel_after: float | None = None

    def send(self, request: Request, timeout: float | None, /) -> Response:
        """Carry out one attempt."""
        response: Response = self._run(self._send(request, timeout))
        return response

    async def _send(self, request: Request, timeout: float | None) -> Response:
        if self.cancel_after is None:
            return await self._transport.send(request, timeout)
        task = asyncio.create_task(self._transport.send(request, timeout))
        asyncio.get_running_loop().call_later(self.cancel_after, task.cancel)
        self.cancel_after = None
        return await task

    def close(self) -> None:
        """Close the transport."""
        self._run(self._transport.aclose())

    def __repr__(self) -> str:
        return repr(self._transport)


class LoopThread:
    """An event loop that runs in a thread, and complains in the end if anything was left behind on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._complaints: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._loop.set_exception_handler(lambda _, context: self._complaints.append(context))
        self._thread.start()
        return self

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for what comes of it."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except CancelledError:
            raise KeyboardInterrupt from None

    def __exit__(self, kind: object, failure: object, trace: object) -> None:
        left = self.run(_other_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        assert not left, left
        assert not self._complaints, self._complaints


async def _other_tasks() -> list[str]:
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]


class AsyncCase(Case):
    """Makes async transports, and runs them."""

    def make(self, **options: Any) -> AsyncTransport:
        """Return a new transport; the tests close it."""
        raise NotImplementedError

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop for a test; override it to test on another kind than asyncio's own."""
        return asyncio.new_event_loop()

    @pytest.fixture
    def run(self) -> Iterator[Run]:
        """Yield what runs a coroutine on the event loop of the test."""
        with LoopThread(self.new_event_loop()) as thread:
            yield thread.run

    @pytest.fixture
    def adapted(self, run: Run) -> Callable[[Any], Transport]:
        """Return what gives an async transport its sync face."""
        return lambda transport: SyncFace(transport, run)

    @contextmanager
    def interrupting(self, transport: Transport) -> Generator[Callable[[], object]]:
        """Yield what would interrupt the next request, which is cancelled in the middle by itself."""
        assert isinstance(transport, SyncFace)
        transport.cancel_after = 0.1
        yield int
