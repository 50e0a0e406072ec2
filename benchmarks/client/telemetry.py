"""Costs that telemetry adds to one `execute`, over a transport that answers at once: `nox -s overhead`.

All contenders run in one process, in blocks that take turns. What the calling thread's processor time differs by from
that of the same client without telemetry is taken round by round, and its median printed: in microseconds, and as a
multiple of the bare call. What an exporter does on a thread of its own is not in it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from airplane_runbooks import (
    Airplane,
    Headers,
    Request,
    Response,
    RetryBudget,
    Secret,
)
from airplane_runbooks._call.link import transport_link
from airplane_runbooks._call.pipeline import compose
from airplane_runbooks.middleware.chain import layers

BLOCK = 200
OK = Response(status=200, headers=Headers(), body=b'{"sessionID":"ses1"}', http_version="1.1")
VALUES = {"limit": 20, "name": "ada"}
Calls = Callable[[int], None]


class Null:
    """A transport that answers at once."""

    def send(self, request: Request, timeout: float | None, /) -> Response:  # noqa: ARG002  # as the protocol has it
        return OK

    def close(self) -> None: ...


class Dropping(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002  # drops them
        return SpanExportResult.SUCCESS


def client(**options: Any) -> Airplane:
    return Airplane("tkn_benchmark", base_url="http://127.0.0.1:1/v0", transport=Null(), **options)


def execute(airplane: Airplane) -> Calls:
    def calls(count: int) -> None:
        for _ in range(count):
            airplane.runbooks.execute("hello_world", param_values=VALUES)

    return calls


def without_telemetry() -> Calls:
    airplane, secret = client(), Secret("tkn_benchmark")
    made = airplane._runner.core
    *without_span, _ = layers(lambda: secret, made.clock, budget=RetryBudget(), attempt_span=Any)
    made._chain = compose(without_span, transport_link(Null(), made.clock))
    made.call = lambda *called: made.perform(*called, made.begin(called[-1], called[-1].timeout))
    return execute(airplane)


def recording() -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    return provider


CONTENDERS: dict[str, Callable[[], Calls]] = {
    "without telemetry": without_telemetry,
    "no SDK": lambda: execute(client()),
    "SDK, nothing sampled": lambda: execute(client(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))),
    "SDK, spans recorded": lambda: execute(client(tracer_provider=recording())),
    "SDK, spans and metrics recorded": lambda: execute(
        client(tracer_provider=recording(), meter_provider=MeterProvider([InMemoryMetricReader()]))
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="blocks of each contender (default: %(default)s)")
    rounds = parser.parse_args().rounds
    contenders = {name: make() for name, make in CONTENDERS.items()}
    for calls in contenders.values():
        calls(BLOCK)
    luck = random.Random(1)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in luck.sample(list(contenders), len(contenders)):  # none always comes after the exporting ones
            started = time.thread_time()
            contenders[name](BLOCK)
            took[name].append((time.thread_time() - started) / BLOCK * 1e6)
    bare = took["without telemetry"]
    print(f"{'over the call without telemetry':<34}{'added, us':>10}{'ratio':>8}")
    for name, times in took.items():
        added = statistics.median(one - other for one, other in zip(times, bare, strict=True))
        share = statistics.median(one / other for one, other in zip(times, bare, strict=True))
        print(f"{name:<34}{added:>10.1f}{share:>8.2f}")


if __name__ == "__main__":
    main()
