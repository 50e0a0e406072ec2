"""The async client: the same chain on a loop, and nothing left behind by cancelling and closing."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_current_span

from airplane_runbooks import (
    AsyncAirplane,
    CallOptions,
    ClientClosed,
    ConfigurationError,
    DeadlineExceeded,
    Next,
    NotFound,
    Request,
    Response,
    RetryPolicy,
    SessionFailed,
)
from airplane_runbooks.clock import AsyncioClock
from airplane_runbooks.models import GetSession
from airplane_runbooks.operations import GET_SESSION
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response
from airplane_runbooks.testing.conformance import finishes_within
from airplane_runbooks.testing.hostile import HostileServer, always, reply
from tests.support.timing import TIMED

pytestmark = TIMED

T = TypeVar("T")
OK = json_response({"sessionID": "ses1"})
BUSY = json_response({"error": "busy"}, status=503)


def client(transport: FakeTransport, **options: Any) -> AsyncAirplane:
    return AsyncAirplane("tkn_test", transport=transport.as_async(), **options)


class Stuck:
    """A transport whose sends never end."""

    def __init__(self) -> None:
        self.sending = 0
        self.started = 0
        self.on_start: Callable[[], object] = int

    async def send(self, request: Request, timeout: float | None, /) -> Response:
        self.started += 1
        self.sending += 1
        self.on_start()
        try:
            await asyncio.Event().wait()
        finally:
            self.sending -= 1
        raise AssertionError

    async def aclose(self) -> None: ...


async def cancelled(call: Awaitable[T], when: Callable[[], bool]) -> None:
    """Start a call, cancel it at a given state, and demand that it ends as cancelled."""
    task = asyncio.ensure_future(call)
    while not when():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


class TestCalls:
    def test_async_calls_do_what_sync_calls_do(self) -> None:
        async def main() -> None:
            transport = FakeTransport([BUSY, OK, json_response({"id": "ses1", "status": "Active"})])
            async with client(transport, clock=FakeClock(), env_slug="prod") as airplane:
                started = await airplane.runbooks.execute("x", param_values={"a": 1})
                assert started.session_id == "ses1"
                reply = await airplane.call(
                    GET_SESSION, GetSession(id="ses1"), options=CallOptions(headers={"X-A": "1"})
                )
                assert (reply.data.status, reply.attempts) == ("Active", 1)
            keys = [request.headers["idempotency-key"] for request in transport.requests[:2]]
            assert keys[0] == keys[1]
            assert transport.requests[2].headers["x-a"] == "1"
            assert transport.closed

        asyncio.run(main())

    def test_async_calls_raise_what_sync_calls_raise(self) -> None:
        async def main() -> None:
            airplane = client(FakeTransport([json_response({"error": "no"}, status=404)]))
            with pytest.raises(NotFound) as caught:
                await airplane.runbooks.execute("x")
            assert (caught.value.operation, caught.value.attempts) == ("runbooks.execute", 1)
            with pytest.raises(ConfigurationError, match="id or slug"):
                await airplane.runbooks.execute()

        asyncio.run(main())

    def test_async_calls_pass_middleware_that_suspends(self) -> None:
        async def rests(request: Request, call_next: Next, /) -> Response:
            await asyncio.sleep(0)
            return await call_next(request.with_header("X-Rested", "1"))

        transport = FakeTransport([OK])
        asyncio.run(client(transport, middleware=[rests]).runbooks.execute("x"))
        assert transport.requests[0].headers["x-rested"] == "1"

    def test_async_clones_share_the_transport(self) -> None:
        transport = FakeTransport([OK, OK])
        airplane = client(transport, timeout=30)
        asyncio.run(airplane.with_options(timeout=2).runbooks.execute("x"))
        asyncio.run(airplane.runbooks.execute("x"))
        assert transport.timeouts[0] <= 2 < transport.timeouts[1]

    def test_async_calls_cover_every_operation(self) -> None:
        session = {"id": "ses1", "status": "Succeeded"}
        run = {"id": "run1", "status": "Succeeded"}
        answers = {
            "/v0/sessions/get": session,
            "/v0/sessions/list": {"sessions": [session]},
            "/v0/runs/get": run,
            "/v0/runs/getOutputs": {"output": 1},
            "/v0/runs/list": {"runs": [run]},
            "/v0/runs/cancel": {},
            "/v0/tasks/execute": {"runID": "run1"},
            "/v0/prompts/get": {"prompt": {"id": "pmt1"}},
            "/v0/prompts/list": {"prompts": [{"id": "pmt1"}]},
            "/v0/prompts/submit": {"id": "pmt1"},
            "/v0/prompts/cancel": {"id": "pmt1"},
        }

        async def main() -> None:
            transport = FakeTransport(lambda request: json_response(answers[request.target.partition("?")[0]]))
            async with client(transport) as airplane:
                assert (await airplane.sessions.get("ses1")).id == "ses1"
                assert [one.id async for one in airplane.sessions.list()] == ["ses1"]
                assert len(await airplane.sessions.list_page(page=3)) == 1
                assert (await airplane.runs.get("run1")).id == "run1"
                assert (await airplane.runs.get_outputs("run1")).output == 1
                assert [one.id async for one in airplane.runs.list()] == ["run1"]
                assert len(await airplane.runs.list_page(limit=3)) == 1
                await airplane.runs.cancel("run1")
                assert (await airplane.tasks.execute("t")).run_id == "run1"
                assert (await airplane.prompts.get("pmt1")).is_open
                assert len(await airplane.prompts.list("run1")) == 1
                assert (await airplane.prompts.submit("pmt1", values={"a": 1})).id == "pmt1"
                assert (await airplane.prompts.cancel("pmt1")).id == "pmt1"
            assert {request.target.partition("?")[0] for request in transport.requests} == set(answers)

        asyncio.run(main())

    def test_async_calls_keep_the_deadline_on_a_slow_transport(self) -> None:
        async def main() -> None:
            airplane = client(FakeTransport(lambda _: BUSY), timeout=0.2, retry=RetryPolicy(max_attempts=99))
            with finishes_within(0.2), pytest.raises(DeadlineExceeded):
                await airplane.runbooks.execute("x")

        asyncio.run(main())

    def test_async_calls_need_no_threads_of_their_own(self) -> None:
        async def main(origin: str) -> None:
            async with AsyncAirplane("tkn_test", base_url=origin) as airplane:
                assert (await airplane.runbooks.execute("x")).session_id == "ses1"
                ours = ("airplane-runbooks", "asyncio")
                started = set(threading.enumerate()) - before
                assert [one.name for one in started if one.name.startswith(ours)] == []

        before = set(threading.enumerate())
        with HostileServer(always(reply(b'{"sessionID":"ses1"}'))) as server:
            asyncio.run(main(server.origin.replace("localhost", "127.0.0.1")))


class TestCancelling:
    def test_a_cancelled_send_leaves_no_task_and_no_attempt(self) -> None:
        transport = Stuck()
        airplane = AsyncAirplane("tkn_test", transport=transport)
        asyncio.run(cancelled(airplane.runbooks.execute("x"), lambda: transport.sending == 1))
        assert (transport.started, transport.sending) == (1, 0)

    def test_cancelling_ends_a_wait_between_attempts(self) -> None:
        transport = FakeTransport(lambda _: BUSY)
        airplane = client(transport, retry=RetryPolicy(initial_delay=60, max_delay=60))
        asyncio.run(cancelled(airplane.runbooks.execute("x"), lambda: len(transport.requests) == 1))
        assert len(transport.requests) == 1

    def test_cancelling_ends_a_wait_for_a_session(self) -> None:
        transport = FakeTransport(lambda _: json_response({"id": "ses1", "status": "Waiting"}))
        airplane = client(transport)
        asyncio.run(cancelled(airplane.sessions.wait("ses1", wait_timeout=None), lambda: len(transport.requests) == 1))
        assert not airplane._clock._sleepers

    def test_cancelling_ends_the_spans_without_an_error(self) -> None:
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        transport = Stuck()
        airplane = AsyncAirplane("tkn_test", transport=transport, tracer_provider=provider)
        outside: list[bool] = []

        async def main() -> None:
            await cancelled(airplane.runbooks.execute("x"), lambda: transport.sending == 1)
            outside.append(get_current_span().get_span_context().is_valid)

        asyncio.run(main())
        spans = exporter.get_finished_spans()
        assert [span.name for span in spans] == ["POST", "runbooks.execute"]
        assert [span.status.status_code for span in spans] == [StatusCode.UNSET] * 2
        assert all("error.type" not in (span.attributes or {}) for span in spans)
        assert outside == [False]

    def test_a_timeout_of_asyncio_cancels_like_any_other(self) -> None:
        transport = Stuck()

        async def main() -> None:
            airplane = AsyncAirplane("tkn_test", transport=transport)
            limit = asyncio.timeout(None)
            transport.on_start = lambda: limit.reschedule(asyncio.get_running_loop().time())
            with pytest.raises(TimeoutError):
                async with limit:
                    await airplane.runbooks.execute("x")

        asyncio.run(main())
        assert (transport.started, transport.sending) == (1, 0)


class TestClosing:
    def test_closing_the_async_client_ends_later_calls(self) -> None:
        async def main() -> None:
            airplane = client(FakeTransport([OK]))
            await airplane.aclose()
            await airplane.aclose()
            with pytest.raises(ClientClosed):
                await airplane.runbooks.execute("x")

        asyncio.run(main())

    def test_closing_cuts_a_wait_between_attempts_short(self) -> None:
        async def main() -> None:
            transport = FakeTransport(lambda _: json_response({}, status=503, headers={"Retry-After": "60"}))
            airplane = client(transport, timeout=None)
            call = asyncio.create_task(airplane.runbooks.execute("x"))
            while not transport.requests:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            await airplane.aclose()
            with pytest.raises(ClientClosed):
                await asyncio.wait_for(call, 60)

        asyncio.run(main())

    def test_closing_cuts_a_wait_for_a_session_short(self) -> None:
        async def main() -> None:
            transport = FakeTransport(lambda _: json_response({"id": "ses1", "status": "Waiting"}))
            airplane = client(transport)
            wait = asyncio.create_task(airplane.sessions.wait("ses1", wait_timeout=None))
            while not airplane._clock._sleepers:
                await asyncio.sleep(0)
            await airplane.aclose()
            with pytest.raises(ClientClosed):
                await asyncio.wait_for(wait, 60)

        asyncio.run(main())


class TestTheClock:
    def test_the_clock_sleeps_for_the_given_time(self) -> None:
        async def main() -> None:
            clock = AsyncioClock()
            started = clock.now()
            await clock.sleep(0.05)
            assert 0.045 <= clock.now() - started < 30
            assert abs(clock.wall() - time.time()) < 60

        asyncio.run(main())

    def test_the_clock_wakes_sleepers_from_another_thread(self) -> None:
        async def main() -> None:
            clock = AsyncioClock()
            closing = threading.Timer(0.02, clock.close)
            closing.start()
            await asyncio.wait_for(clock.sleep(600), 60)
            await asyncio.wait_for(clock.sleep(600), 60)
            closing.join()

        asyncio.run(main())

    def test_the_clock_tolerates_a_loop_that_is_gone(self) -> None:
        clock = AsyncioClock()
        loop = asyncio.new_event_loop()
        sleeper = loop.create_task(clock.sleep(600))
        sleeper._log_destroy_pending = False  # type: ignore[attr-defined]  # which is what happens to it
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
        loop.close()
        assert len(clock._sleepers) == 1
        clock.close()

    def test_the_clock_wakes_a_sleeper_once(self) -> None:
        async def main() -> None:
            clock = AsyncioClock()
            sleeper = asyncio.create_task(clock.sleep(600))
            await asyncio.sleep(0)
            clock.close()
            clock.close()
            await asyncio.wait_for(sleeper, 60)

        asyncio.run(main())


def test_one_client_serves_any_number_of_tasks() -> None:
    def answer(request: Request) -> Response:
        return json_response({"sessionID": request.body.decode() if request.body else ""})

    async def main() -> None:
        airplane = client(FakeTransport(answer))

        async def work(number: int) -> bool:
            return str(number) in (await airplane.runbooks.execute(f"x{number}")).session_id

        assert all(await asyncio.gather(*map(work, range(200))))

    asyncio.run(main())


def test_a_failed_session_is_an_error_of_the_wait() -> None:
    transport = FakeTransport([json_response({"id": "ses1", "status": "Failed"})])
    with pytest.raises(SessionFailed):
        asyncio.run(client(transport).sessions.wait("ses1", wait_timeout=1))


def test_the_repr_names_the_client_and_shows_no_key() -> None:
    assert repr(client(FakeTransport())) == "AsyncAirplane(base_url='https://api.airplane.dev/v0')"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_eager_tasks_call_as_others_do() -> None:
    """Each call runs up to its first wait while its task is being made."""

    async def main(base_url: str) -> list[str]:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with AsyncAirplane("tkn_test", base_url=base_url) as airplane:
            calls = [asyncio.create_task(airplane.runbooks.execute("refund")) for _ in range(20)]
            calls[0].cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        return [started.session_id for started in results[1:]]

    with HostileServer(always(reply(b'{"sessionID":"ses1"}'))) as server:
        assert asyncio.run(main(f"{server.origin}/v0")) == ["ses1"] * 19
