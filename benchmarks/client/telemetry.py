"""Costs that telemetry adds to one `execute`, over a transport that answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import opentelemetry.trace  # noqa: F401  # as in a service that is traced: without it the client reports nothing

from airplane_runbooks import Airplane, Headers, Request, Response, RetryBudget, Secret
from airplane_runbooks._call.link import transport_link
from airplane_runbooks._call.pipeline import compose
from airplane_runbooks.middleware.chain import layers

from .canned import Endpoint
from .contenders import VALUES, Call, exporting_provider

OK = Response(status=200, headers=Headers(), body=b'{"sessionID":"ses1"}', http_version="1.1")


class Null:
    """A transport that answers at once."""

    def send(self, request: Request, timeout: float | None, /) -> Response:  # noqa: ARG002  # as the protocol has it
        return OK

    def close(self) -> None: ...


def client(**options: Any) -> Airplane:
    return Airplane("tkn_benchmark", base_url="http://127.0.0.1:1/v0", transport=Null(), **options)


def execute(airplane: Airplane) -> Call:
    return lambda: airplane.runbooks.execute("hello_world", param_values=VALUES)


def without_telemetry(_endpoint: Endpoint) -> Call:
    """Take the spans out of the client."""
    airplane, secret = client(), Secret("tkn_benchmark")
    made = airplane._runner.core
    without_span = layers(lambda: secret, made.clock, budget=RetryBudget())
    made._chain = compose(without_span, transport_link(Null(), made.clock))
    made.call = lambda *called: made.perform(*called, made.begin(called[-1], called[-1].timeout))
    return execute(airplane)


def without_sdk(_: Endpoint) -> Call:
    return execute(client())


def unsampled(_: Endpoint) -> Call:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return execute(client(tracer_provider=TracerProvider(sampler=ALWAYS_OFF)))


def recorded(_: Endpoint) -> Call:
    return execute(client(tracer_provider=exporting_provider()))


def recorded_with_metrics(_: Endpoint) -> Call:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meters = MeterProvider([InMemoryMetricReader()])
    return execute(client(tracer_provider=exporting_provider(), meter_provider=meters))


WITHOUT, NO_SDK = "without telemetry", "no SDK"
CONTENDERS: dict[str, Callable[[Endpoint], Call]] = {
    WITHOUT: without_telemetry,
    NO_SDK: without_sdk,
    "SDK, nothing sampled": unsampled,
    "SDK, spans recorded": recorded,
    "SDK, spans and metrics recorded": recorded_with_metrics,
}
