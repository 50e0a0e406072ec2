"""The client beside the instrumentation that applications switch on for urllib3, requests, aiohttp and threads."""

from __future__ import annotations

import asyncio
import contextvars
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import aiohttp
import pytest
import requests
import urllib3
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, SpanKind

from airplane_runbooks.http import Headers, Request, Response
from airplane_runbooks.testing import FakeTransport, json_response
from airplane_runbooks.testing.hostile import HostileServer, Peer, always, reply
from airplane_runbooks.transports.threaded import ThreadedTransport
from tests.support.observed import ATTEMPTS, execute
from tests.support.spans import (
    KEY,
    KINDS,
    OK,
    TWO_RETRIES,
    call,
    serving,
)

pytestmark = pytest.mark.telemetry

CONTRIB = tuple(map(int, version("opentelemetry-instrumentation").partition("b")[0].split(".")))
INSTRUMENTORS = (URLLib3Instrumentor, RequestsInstrumentor, AioHttpClientInstrumentor, ThreadingInstrumentor)
OURS = "airplane_runbooks"


class Observed:
    """The spans and metrics of the client and of all other instrumentation of this process."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracer_provider, self.meter_provider = TracerProvider(), MeterProvider([self._reader])
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def providers(self) -> dict[str, Any]:
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    def user(self) -> Any:
        """Return a span of the user's own, around everything in a `with` statement."""
        return self.tracer_provider.get_tracer("user").start_as_current_span("user")

    def spans(self, scope: str) -> list[ReadableSpan]:
        """Return the spans of a scope in the order of their starts; "contrib" is all other instrumentation."""
        found = sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        return [span for span in found if _scope(span.instrumentation_scope.name) == scope]

    def shape(self, scope: str = OURS) -> list[tuple[str, str | None]]:
        """Return the names of a scope's spans, each with that of its parent."""
        names = {span.context.span_id: span.name for span in self._exporter.get_finished_spans()}
        return [(span.name, span.parent and names[span.parent.span_id]) for span in self.spans(scope)]

    def counts(self, name: str) -> dict[str, int]:
        """Return how often each scope has recorded a metric."""
        data: Any = self._reader.get_metrics_data()
        return {
            _scope(scope.scope.name): sum(point.count for point in metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        }


def _scope(name: str) -> str:
    return "contrib" if name.startswith("opentelemetry.instrumentation.") else name


@pytest.fixture(scope="module", autouse=True)
def stable_names():
    """Have other instrumentation name its metrics as ours are named, or there could be no duplicate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
        yield


@pytest.fixture
def seen() -> Iterator[Observed]:
    observed = Observed()
    with ExitStack() as stack:
        for one in (instrumentor() for instrumentor in INSTRUMENTORS):
            stack.callback(one.uninstrument)
            one.instrument(**observed.providers)
            assert one.is_instrumented_by_opentelemetry
        yield observed


def by_urllib3(url: str) -> None:
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", url).status == 200


def by_requests(url: str) -> None:
    assert requests.get(url, timeout=100).status_code == 200


def by_aiohttp(url: str) -> None:
    # on a thread, for this one may be running an event loop already
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(context.run, asyncio.run, get(url)).result()


async def get(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200


LIBRARIES = [by_urllib3, by_requests, by_aiohttp]


@contextmanager
def elsewhere() -> Iterator[str]:
    """Serve what is none of the client's business."""
    with HostileServer(always(reply())) as server:
        yield server.origin


RETRIED = [("runbooks.execute", "user"), *[("POST", "runbooks.execute")] * 3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_alone_traces_and_counts_its_requests(seen, kind):
    with serving(TWO_RETRIES) as api, seen.user():
        call(kind, execute, api.base_url, **seen.providers)
    assert seen.shape() == RETRIED
    assert seen.shape("contrib") == []
    assert seen.counts(ATTEMPTS) == {OURS: 3}
    assert api.parents == [f"{span.context.span_id:016x}" for span in seen.spans(OURS)[1:]]


class OnUrllib3:
    """A transport of a user's own, on what is instrumented of urllib3."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(retries=False)

    def send(self, request: Request, timeout: float | None, /) -> Response:
        answer = self._pool.request(
            request.method, request.url, body=request.body, headers=dict(request.headers), timeout=timeout
        )
        return Response(status=answer.status, headers=Headers(answer.headers), body=answer.data)

    def close(self) -> None:
        self._pool.clear()


OWN = {"sync": OnUrllib3, "threaded": lambda: ThreadedTransport(OnUrllib3())}


@pytest.mark.parametrize("kind", OWN)
def test_a_quiet_client_leaves_its_requests_to_others(seen, kind):
    quiet = {"tracer_provider": NoOpTracerProvider(), "meter_provider": NoOpMeterProvider()}
    with serving(TWO_RETRIES) as api, seen.user():
        assert call(kind, execute, api.base_url, transport=OWN[kind](), **quiet).session_id == "ses1"
    assert seen.shape("contrib") == [("POST", "user")] * 3
    assert seen.counts(ATTEMPTS) == {"contrib": 3}
    assert api.parents == [f"{span.context.span_id:016x}" for span in seen.spans("contrib")]


def through_api_key(kind: str, own_call: Callable[[], None], **options: Any) -> str:
    """Make the user's own call where the client asks for its key."""

    def current_key() -> str:
        own_call()
        return KEY

    with serving([OK]) as api:
        call(kind, execute, api.base_url, **{"api_key": current_key, **options})
    return "runbooks.execute"


def through_middleware(layer: str) -> Callable[..., str]:
    """Make the user's own call in a middleware, before the client's request."""

    def place(kind: str, own_call: Callable[[], None], **options: Any) -> str:
        async def middleware(request: Any, call_next: Any, /) -> Any:
            own_call()
            return await call_next(request)

        with serving([OK]) as api:
            call(kind, execute, api.base_url, **{layer: [middleware], **options})
        return "runbooks.execute"

    return place


def through_on_progress(kind: str, own_call: Callable[[], None], **options: Any) -> str:
    """Make the user's own call where a wait reports what it has seen."""
    ended = reply(b'{"id":"ses1","status":"Succeeded","createdAt":"2026-01-01T00:00:00Z"}')
    with serving([OK, ended]) as api:
        call(
            kind,
            lambda airplane: airplane.runbooks.execute_and_wait(
                "x", wait_timeout=60, on_progress=lambda *_: own_call()
            ),
            api.base_url,
            **options,
        )
    return "runbooks.execute_and_wait"


PLACES = {
    "api_key": through_api_key,
    "middleware": through_middleware("middleware"),
    "attempt_middleware": through_middleware("attempt_middleware"),
    "on_progress": through_on_progress,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("place", PLACES)
def test_a_users_own_calls_are_still_traced(seen, kind, library, place):
    with elsewhere() as url, seen.user():
        library(url)
        operation = PLACES[place](kind, lambda: library(url), **seen.providers)
        library(url)
    assert seen.shape("contrib") == [("GET", "user"), ("GET", operation), ("GET", "user")]
    whole, *attempts = seen.shape()
    assert whole == (operation, "user")
    assert {parent for _, parent in attempts} == {operation}
    # the instrumentation of aiohttp records no metrics before 0.55b0
    of_others = {} if library is by_aiohttp and CONTRIB < (0, 55) else {"contrib": 3}
    assert seen.counts(ATTEMPTS) == {OURS: len(attempts), **of_others}


@pytest.mark.parametrize("kind", ["threaded", "asyncio"])
def test_what_a_middleware_awaits_is_still_traced(seen, kind):
    with serving(TWO_RETRIES) as api, elsewhere() as url, seen.user():

        async def middleware(request: Any, call_next: Any, /) -> Any:
            await get(url)
            return await call_next(request)

        call(kind, execute, api.base_url, attempt_middleware=[middleware], **seen.providers)
    assert seen.shape() == RETRIED
    assert seen.shape("contrib") == [("GET", "runbooks.execute")] * 3


@pytest.mark.parametrize("kind", ["threaded", "asyncio"])
def test_another_task_is_traced_during_an_attempt(seen, kind):
    asked, may_answer = threading.Event(), threading.Event()

    def answer(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        may_answer.wait(100)
        peer.send(OK)

    async def at_once(airplane: Any) -> Any:
        ours = asyncio.create_task(execute(airplane))
        assert await asyncio.to_thread(asked.wait, 10)
        await get(url)
        may_answer.set()
        return await ours

    with HostileServer(answer) as server, elsewhere() as url, seen.user():
        call(kind, at_once, f"{server.origin}/v0", **seen.providers)
    assert seen.shape() == [("runbooks.execute", "user"), ("POST", "runbooks.execute")]
    assert seen.shape("contrib") == [("GET", "user")]


@pytest.mark.parametrize("kind", OWN)
def test_a_transport_of_a_users_own_has_no_nested_spans(seen, kind):
    with serving(TWO_RETRIES) as api, seen.user():
        call(kind, execute, api.base_url, transport=OWN[kind](), **seen.providers)
    assert seen.shape() == RETRIED
    assert seen.shape("contrib") == []


class TestSuppressionSwitchedOff:
    """`suppress_http_instrumentation=False`."""

    @pytest.mark.parametrize("kind", OWN)
    def test_without_suppression_each_attempt_has_a_nested_span(self, seen, kind):
        options = {"transport": OWN[kind](), "suppress_http_instrumentation": False, **seen.providers}
        with serving(TWO_RETRIES) as api, seen.user():
            call(kind, execute, api.base_url, **options)
        assert seen.shape() == RETRIED
        assert seen.shape("contrib") == [("POST", "POST")] * 3
        attempts, nested = seen.spans(OURS)[1:], seen.spans("contrib")
        assert [span.parent.span_id for span in nested] == [span.context.span_id for span in attempts]
        assert api.parents == [f"{span.context.span_id:016x}" for span in nested]
        assert seen.counts(ATTEMPTS) == {OURS: 3, "contrib": 3}

    @pytest.mark.parametrize("kind", KINDS)
    def test_our_own_transports_use_nothing_that_is_traced(self, seen, kind):
        with serving(TWO_RETRIES) as api, seen.user():
            call(kind, execute, api.base_url, suppress_http_instrumentation=False, **seen.providers)
        assert seen.shape() == RETRIED
        assert seen.shape("contrib") == []


@pytest.mark.parametrize("kind", KINDS)
def test_suppressed_instrumentation_leaves_metrics_alone(seen, kind):
    with serving(TWO_RETRIES) as api, seen.user() as user, suppress_instrumentation():
        result = call(kind, execute, api.base_url, **seen.providers)
    assert result.session_id == "ses1"
    assert seen.shape() == seen.shape("contrib") == []
    assert seen.counts(ATTEMPTS) == {OURS: 3}
    assert seen.counts("airplane.client.operation.duration") == {OURS: 1}
    assert api.parents == [f"{user.context.span_id:016x}"] * 3


WITHOUT_KEYS = """
import json, sys
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

del context._SUPPRESS_HTTP_INSTRUMENTATION_KEY, context._SUPPRESS_INSTRUMENTATION_KEY
assert "airplane_runbooks" not in sys.modules
from tests.support.spans import call

kind, base_url = sys.argv[1:]
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
result = call(kind, lambda airplane: airplane.runbooks.execute(slug="x"), base_url, tracer_provider=provider)
spans = [
    (span.name, f"{span.context.span_id:016x}", span.parent and f"{span.parent.span_id:016x}")
    for span in exporter.get_finished_spans()
]
print(json.dumps({"session": result.session_id, "spans": spans}))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_depends_on_the_private_keys(kind):
    with serving(TWO_RETRIES) as api:
        command = [sys.executable, "-W", "error", "-c", WITHOUT_KEYS, kind, api.base_url]
        told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=100).stdout)
    *attempts, (name, operation, parent) = told["spans"]
    assert told["session"] == "ses1"
    assert (name, parent) == ("runbooks.execute", None)
    assert [(name, parent) for name, _, parent in attempts] == [("POST", operation)] * 3
    assert api.parents == [span_id for _, span_id, _ in attempts]


class TestThreads:
    """`ThreadedTransport`, with threads that other instrumentation hands contexts to as well, and without."""

    @pytest.fixture(params=["alone", "beside the instrumentation of threads"])
    def observed(self, request):
        return Observed() if request.param == "alone" else request.getfixturevalue("seen")

    def test_a_sync_transport_sees_the_attempt_as_current(self, observed):
        current = []

        def answer(request: Any) -> Any:
            current.append(trace.get_current_span().get_span_context())
            status = 200 if len(current) == 3 else 503
            return json_response({"sessionID": "ses1"}, status=status)

        transport = ThreadedTransport(FakeTransport(answer))
        call("threaded", execute, "http://localhost", transport=transport, **observed.providers)
        assert current == [span.context for span in observed.spans(OURS) if span.kind is SpanKind.CLIENT]

    def test_calls_that_share_a_thread_do_not_mix_their_spans(self, observed):
        current = {}

        def answer(request: Any) -> Any:
            current[request.headers["traceparent"].split("-")[2]] = trace.get_current_span().get_span_context()
            return json_response({"sessionID": "ses1"})

        async def at_once(airplane: Any) -> None:
            await asyncio.gather(*(execute(airplane) for _ in range(10)))

        transport = ThreadedTransport(FakeTransport(answer), pool_size=1)
        call("threaded", at_once, "http://localhost", transport=transport, **observed.providers)
        attempts = [span.context for span in observed.spans(OURS) if span.kind is SpanKind.CLIENT]
        assert len(attempts) == 10
        assert current == {f"{context.span_id:016x}": context for context in attempts}
