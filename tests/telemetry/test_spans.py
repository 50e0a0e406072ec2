"""The shape of a call's tree. The numbers are those of the promises in docs/reference/telemetry.md."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from airplane_runbooks import (
    APIError,
    AsyncAirplane,
    ConfigurationError,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    DecodeError,
    Next,
    Request,
    Response,
    RetryPolicy,
    ServerError,
    Unauthorized,
)
from airplane_runbooks.testing import json_response
from airplane_runbooks.testing.hostile import HostileServer, after_request
from airplane_runbooks.transports.asyncio._transport import AsyncioTransport
from airplane_runbooks.transports.threaded import ThreadedTransport
from airplane_runbooks.transports.urllib3._transport import Urllib3Transport
from tests.support.observed import (
    ATTEMPTS,
    OK,
    ONCE,
    SERVER,
    UNAVAILABLE,
    URL,
    Make,
    Observed,
    attributes,
    execute,
)

TWO_RETRIES = (UNAVAILABLE, UNAVAILABLE, OK)
ERROR, UNSET = StatusCode.ERROR, StatusCode.UNSET


@pytest.fixture
def retried(make: Make) -> Observed:
    seen = make(TWO_RETRIES)
    seen.execute()
    return seen


def test_two_retries_are_one_internal_and_three_client_spans(retried: Observed) -> None:
    assert retried.tree() == {"": ["runbooks.execute"], "runbooks.execute": ["POST", "POST", "POST"]}
    assert [span.kind for span in retried.spans] == [SpanKind.CLIENT] * 3 + [SpanKind.INTERNAL]
    assert all(span.parent == retried.call.get_span_context() for span in retried.attempts)


def test_resends_are_counted(retried: Observed) -> None:
    assert [attributes(span).get("http.request.resend_count") for span in retried.attempts] == [None, 1, 2]


def test_failed_attempts_of_a_successful_call_are_errors(retried: Observed) -> None:
    assert [span.status.status_code for span in retried.attempts] == [ERROR, ERROR, UNSET]
    assert retried.call.status.status_code is UNSET
    assert "error.type" not in attributes(retried.call)


def test_spans_have_no_events_and_no_needless_description(retried: Observed) -> None:
    assert not any(span.events or span.links for span in retried.spans)
    assert [span.status.description for span in retried.attempts] == [None, None, None]


def test_the_call_has_nothing_of_http_and_counts_its_attempts(retried: Observed) -> None:
    assert attributes(retried.call) == {
        "airplane.operation.name": "runbooks.execute",
        **SERVER,
        "airplane.operation.attempts": 3,
        "airplane.session.id": "ses1",
    }


def test_success_is_never_ok(retried: Observed) -> None:
    assert not any(span.status.status_code is StatusCode.OK for span in retried.spans)


def test_a_call_given_up_names_what_its_caller_caught(make: Make) -> None:
    seen = make([UNAVAILABLE, UNAVAILABLE], retry=RetryPolicy(max_attempts=2))
    with pytest.raises(ServerError):
        seen.execute()
    assert seen.call.status.status_code is ERROR
    assert seen.call.status.description == "503: try later"
    assert attributes(seen.call)["error.type"] == "airplane_runbooks.errors.ServerError"
    assert attributes(seen.call)["airplane.operation.attempts"] == 2
    assert attributes(seen.attempts[-1])["error.type"] == "503"


TRANSPORTS: dict[str, tuple[str, Any]] = {
    "urllib3": ("sync", Urllib3Transport),
    "threaded": ("async", ThreadedTransport),
    "asyncio": ("async", AsyncioTransport),
}


class Connected(Observed):
    """A client that goes over the network."""

    def __init__(self, transport: str, base_url: str) -> None:
        kind, self._new = TRANSPORTS[transport]
        super().__init__(kind, base_url=base_url, retry=ONCE)

    def execute(self) -> Any:
        client = type(self.client)("tkn_test", transport=self._new(), **self.options)
        if not isinstance(client, AsyncAirplane):
            with client:
                return execute(client)

        async def main() -> None:
            async with client:
                await execute(client)

        return asyncio.run(main())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_refused_connection_has_one_name_everywhere(transport: str) -> None:
    with HostileServer(lambda peer: None) as gone:
        pass
    seen = Connected(transport, f"{gone.origin}/v0")
    with pytest.raises(ConnectError):
        seen.execute()
    (attempt,) = seen.attempts
    assert attempt.status.status_code is ERROR
    assert "http.response.status_code" not in attributes(attempt)
    assert attributes(attempt)["error.type"] == "airplane_runbooks.errors.ConnectError"
    assert seen.counts(ATTEMPTS, "error.type") == {"airplane_runbooks.errors.ConnectError": 1}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_that_dies_in_the_body_leaves_its_status(transport: str) -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
    with HostileServer(after_request(lambda peer: peer.send(half))) as server:
        seen = Connected(transport, f"{server.origin}/v0")
        with pytest.raises(ConnectionLost):
            seen.execute()
    (attempt,) = seen.attempts
    assert attempt.status.status_code is ERROR
    assert attributes(attempt)["http.response.status_code"] == 200
    assert attributes(attempt)["error.type"] == "airplane_runbooks.errors.ConnectionLost"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interruption_leaves_the_span_of_the_caller_current(make: Make, interruption: Any) -> None:
    seen = make([interruption()])

    async def call() -> None:
        done = execute(seen.client)
        if inspect.isawaitable(done):
            await done

    async def main() -> None:
        with user.start_as_current_span("user") as mine:
            with pytest.raises(interruption):
                await call()
            assert trace.get_current_span() is mine

    user = TracerProvider().get_tracer("user")
    asyncio.run(main())
    assert [span.name for span in seen.spans] == ["POST", "runbooks.execute"]
    assert all(span.status.status_code is UNSET for span in seen.spans)
    assert not any("error.type" in attributes(span) for span in seen.spans)


def test_a_task_that_is_cancelled_ends_its_spans() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def main() -> None:
        with HostileServer(lambda peer: peer.stay_silent()) as server:
            async with AsyncAirplane("tkn_1", base_url=f"{server.origin}/v0", tracer_provider=provider) as airplane:
                task = asyncio.create_task(airplane.runbooks.execute("x"))
                while not server.connections:
                    await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())
    spans = exporter.get_finished_spans()
    assert [(span.name, span.status.status_code) for span in spans] == [("POST", UNSET), ("runbooks.execute", UNSET)]
    assert not any("error.type" in attributes(span) for span in spans)


@pytest.mark.parametrize(("status", "failure"), [(307, APIError), (401, Unauthorized)])
def test_a_redirect_is_not_followed_and_a_401_not_tried_again(make: Make, status: int, failure: Any) -> None:
    seen = make([json_response({}, status=status, headers={"location": "https://elsewhere.example/"})])
    with pytest.raises(failure):
        seen.execute()
    (attempt,) = seen.attempts
    assert attributes(attempt)["http.response.status_code"] == status
    assert attempt.status.status_code is (ERROR if status >= 400 else UNSET)
    assert seen.call.status.status_code is ERROR


def test_an_attempt_has_these_attributes_and_no_others(retried: Observed) -> None:
    common = {"http.request.method": "POST", **SERVER, "url.full": URL}
    failed = {"http.response.status_code": 503, "error.type": "503"}
    assert [attributes(span) for span in retried.attempts] == [
        {**common, **failed},
        {**common, **failed, "http.request.resend_count": 1},
        {
            **common,
            "http.request.resend_count": 2,
            "http.response.status_code": 200,
            "airplane.request_id": "req1",
        },
    ]


def test_a_call_refused_before_any_io_has_no_attempts(make: Make) -> None:
    seen = make()
    with pytest.raises(ConfigurationError):
        seen(lambda airplane: airplane.runbooks.execute())
    assert seen.attempts == []
    assert attributes(seen.call)["airplane.operation.attempts"] == 0
    assert seen.call.status.status_code is ERROR


def test_an_unreadable_reply_is_an_error_of_the_call_alone(make: Make) -> None:
    seen = make([json_response([])])
    with pytest.raises(DecodeError):
        seen.execute()
    assert seen.call.status.status_code is ERROR
    assert seen.attempts[0].status.status_code is UNSET


def test_an_attempt_without_time_left_is_counted_everywhere(make: Make) -> None:
    async def dawdle(request: Request, call_next: Next, /) -> Response:
        seen.clock.advance(60)
        return await call_next(request)

    seen = make([], timeout=1, attempt_middleware=[dawdle])
    with pytest.raises(DeadlineExceeded) as caught:
        seen.execute()
    assert seen.transport.requests == []
    assert caught.value.attempts == attributes(seen.call)["airplane.operation.attempts"] == len(seen.attempts) == 1
    assert seen.counts(ATTEMPTS, "error.type") == {"airplane_runbooks.errors.AttemptTimeout": 1}


def test_an_exception_that_is_none_of_ours_leaves_its_text_out(make: Make) -> None:
    seen = make([RuntimeError("secret=42")])
    with pytest.raises(RuntimeError):
        seen.execute()
    assert seen.call.status.description is None
    assert "secret" not in "".join(span.to_json() for span in seen.spans)


def test_middleware_runs_under_the_span_of_the_call(make: Make) -> None:
    names = []

    async def look(request: Request, call_next: Next, /) -> Response:
        span: Any = trace.get_current_span()
        names.append(span.name)
        return await call_next(request)

    make(middleware=[look], attempt_middleware=[look]).execute()
    assert names == ["runbooks.execute", "runbooks.execute"]
