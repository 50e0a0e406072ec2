"""The API key is looked for wherever it could show: nothing that a client produces may hold it."""

from __future__ import annotations

import copy
import io
import itertools
import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airplane_runbooks import (
    NO_RETRY,
    Airplane,
    AirplaneError,
    CallOptions,
    ConfigurationError,
    ConnectionLost,
    Headers,
    InvalidResponse,
    Request,
    Response,
    RetryPolicy,
    Settings,
)
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Act, Either
from tests.support.tracebacks import traceback_of

KEY = "tkn_" + "s3cr3t" * 6


def echo(status: int) -> Any:
    """Return a handler that answers with everything it was sent, as a careless proxy might."""

    def handler(request: Request) -> Response:
        sent = {"error": f"you sent {dict(request.headers)}", "code": request.headers["x-airplane-api-key"]}
        return json_response(sent, status=status, headers={"X-Request-ID": request.headers["x-airplane-api-key"]})

    return handler


def broken_echo(request: Request) -> Response:
    return Response(status=200, headers=Headers(request.headers), body=b"not JSON: " + KEY.encode())


SCRIPTS = {
    "bad request": echo(400),
    "unauthorized": echo(401),
    "server error": echo(500),
    "redirect": echo(302),
    "undecodable": broken_echo,
    "lost": lambda request: ConnectionLost("reset"),
    "garbage": lambda request: InvalidResponse("garbage"),
    "foreign": lambda request: RuntimeError("of a foreign transport"),
}


def execute(airplane: Any) -> Any:
    return airplane.runbooks.execute("x", param_values={"a": 1})


def wait(airplane: Any) -> Any:
    return airplane.sessions.wait("ses1", wait_timeout=5)


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("retry", [NO_RETRY, RetryPolicy(max_attempts=2)], ids=["once", "twice"])
@pytest.mark.parametrize("callable_key", [False, True], ids=["key", "callable"])
@pytest.mark.parametrize("way", list(itertools.product(["sync", "async"], [execute, wait])))
def test_the_key_shows_nowhere_when_a_call_fails(
    script: str, retry: RetryPolicy, callable_key: bool, way: tuple[str, Act], logs: io.StringIO
) -> None:
    kind, act = way
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    transport = FakeTransport(SCRIPTS[script])
    either = Either(
        kind,
        transport,
        _provide if callable_key else _hidden(),
        retry=retry,
        tracer_provider=tracer_provider,
        meter_provider=MeterProvider([metrics]),
    )
    airplane = either.client
    with pytest.raises((AirplaneError, RuntimeError)) as caught:
        either(act)

    error = caught.value
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    places = {
        "traceback with local variables": "".join(trace.format()),
        "error": f"{error} {error!r} {vars(error)}",
        "logs": logs.getvalue(),
        "spans": "".join(span.to_json() for span in spans.get_finished_spans()),
        "metrics": metrics.get_metrics_data().to_json(),  # type: ignore[union-attr]
        "client": f"{airplane!r} {vars(airplane)}",
        "transport": f"{transport!r} {transport.requests!r}",
        "chain": repr(airplane._runner.core._chain),
    }
    if isinstance(error, AirplaneError):
        places["pickle"] = pickle.dumps(error).decode("latin-1")
        places["copy"] = f"{vars(copy.deepcopy(error))}"
    assert [place for place, text in places.items() if KEY in text] == []


def _hidden() -> str:
    return KEY


def _provide() -> str:
    return KEY


def test_the_search_would_find_a_key_that_shows() -> None:
    """The net of the test above has no hole where it matters: a local variable of this frame is caught in it."""
    local = KEY
    try:
        int(f"{len(local)} letters")
    except ValueError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert KEY in text


def test_a_client_cannot_be_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Airplane(_hidden(), transport=FakeTransport([])))


def test_settings_show_no_key() -> None:
    settings = Settings.from_env({"AIRPLANE_API_KEY": KEY})
    assert KEY not in f"{settings!r} {settings.api_key} {settings.api_key}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(settings)
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.deepcopy(settings)


def test_a_bad_key_is_refused_without_showing_it() -> None:
    try:
        Airplane(_hidden() + "\n")
    except ValueError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert KEY not in text


def test_data_of_a_success_may_look_like_the_key() -> None:
    transport = FakeTransport([json_response({"id": "ses1", "status": "Active", "paramValues": {"key": KEY}})])
    assert Airplane(_hidden(), transport=transport).sessions.get("ses1").param_values == {"key": KEY}


@pytest.mark.parametrize(
    "build",
    [
        lambda headers: Airplane("tkn_1", headers={**headers, "host": "x"}),
        lambda headers: Airplane("tkn_1", headers=headers, base_url="http://api.test"),
        lambda headers: Airplane("tkn_1", headers={**headers, "x-note": "\n"}),
        lambda headers: Airplane("tkn_1", transport=FakeTransport()).with_options(headers={**headers, "a b": ""}),
        lambda headers: Airplane("tkn_1", transport=FakeTransport()).sessions.get(
            "ses1", options=CallOptions(headers={**headers, "x-airplane-api-key": "x"})
        ),
    ],
)
def test_further_credentials_are_not_in_tracebacks(build: Act) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build({"authorization": f"Bearer {KEY}"})
    assert KEY not in traceback_of(caught.value)
    assert KEY not in repr(CallOptions(headers={"authorization": KEY}))


def test_further_credentials_that_a_server_repeats_are_masked() -> None:
    token = "eyJ0eXAi.s3cr3t"
    transport = FakeTransport([json_response({"error": f"bad token {token}"}, status=401)])
    airplane = Airplane("tkn_1", transport=transport, headers={"Authorization": f"Bearer {token}"})
    with pytest.raises(AirplaneError, match=r"bad token \[api key\]"):
        airplane.sessions.get("ses1")


def test_every_key_of_a_call_is_masked_however_often_it_changes() -> None:
    keys = iter(["tkn_first_key", "tkn_second_key", "tkn_third_key"])
    said = json_response({"error": "not tkn_first_key, tkn_second_key or tkn_third_key"}, status=503)
    either = Either("sync", FakeTransport([said, said, said]), lambda: next(keys), retry=RetryPolicy(max_attempts=3))
    with pytest.raises(AirplaneError) as caught:
        either(execute)
    assert str(caught.value) == "503: not [api key], [api key] or [api key]"
