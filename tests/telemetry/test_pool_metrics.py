"""Metrics of connection pools, as a reader of the SDK collects them."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from airplane_runbooks import Airplane, AsyncAirplane, ConfigurationError, PoolFigures, __version__
from airplane_runbooks.testing import FakeTransport, json_response
from airplane_runbooks.testing.conformance import PLENTY, request_to
from airplane_runbooks.testing.hostile import HostileServer, always, reply
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from tests.support.clients import Either
from tests.support.observed import execute

CONNECTIONS, PENDING = "http.client.open_connections", "airplane.client.connection.pending_requests"
OURS = {"server.address": "api.airplane.dev", "server.port": 443}
STARTED = reply(b'{"sessionID":"ses1"}')


class Collected:
    """A provider of metrics, and what its reader collects."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def metrics(self) -> dict[str, Any]:
        data: Any = self.reader.get_metrics_data()
        scopes = [] if data is None else data.resource_metrics[0].scope_metrics
        assert {(scope.scope.name, scope.scope.version) for scope in scopes} <= {("airplane_runbooks", __version__)}
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        metric = self.metrics().get(name)
        return [] if metric is None else [(point.value, dict(point.attributes)) for point in metric.data.data_points]

    def figures(self, port: int) -> tuple[dict[str, int], int]:
        """Return the connections in each state, and the waiting requests, of a server on this machine."""
        server = {"server.address": "localhost", "server.port": port}
        states = {
            state: value
            for value, found in self.points(CONNECTIONS)
            if found == {**server, "http.connection.state": (state := found["http.connection.state"])}
        }
        (waiting,) = (value for value, found in self.points(PENDING) if found == server)
        return states, waiting


@pytest.fixture
def collected() -> Collected:
    return Collected()


class Pooled(FakeTransport):
    """A transport of another that has pools."""

    figures: Mapping[str, Any] = {"https://api.airplane.dev": PoolFigures(active=1, idle=2, waiting=3)}

    def pool_figures(self) -> Mapping[str, PoolFigures]:
        return self.figures


def opened(transport: Any, collected: Collected) -> Airplane:
    return Airplane("tkn_test", transport=transport, meter_provider=collected.provider, pool_metrics=True)


def test_connections_are_counted_by_their_state(collected: Collected) -> None:
    with HostileServer(always(STARTED)) as server:
        port = int(server.origin.rpartition(":")[2])
        url = f"http://localhost:{port}/v0"
        with Airplane("tkn_test", base_url=url, meter_provider=collected.provider, pool_metrics=True) as airplane:
            assert collected.figures(port) == ({"active": 0, "idle": 0}, 0)
            execute(airplane)
            assert collected.figures(port) == ({"active": 0, "idle": 1}, 0)
    assert collected.points(CONNECTIONS) == collected.points(PENDING) == []


def test_an_async_client_counts_its_connections_too(collected: Collected) -> None:
    async def scenario(port: int) -> None:
        url = f"http://localhost:{port}/v0"
        options: dict[str, Any] = {"base_url": url, "meter_provider": collected.provider, "pool_metrics": True}
        async with AsyncAirplane("tkn_test", **options) as airplane:
            assert collected.points(CONNECTIONS) == []
            await execute(airplane)
            assert collected.figures(port) == ({"active": 0, "idle": 1}, 0)

    with HostileServer(always(STARTED)) as server:
        asyncio.run(scenario(int(server.origin.rpartition(":")[2])))
    assert collected.points(CONNECTIONS) == collected.points(PENDING) == []


def test_transports_of_others_may_tell_their_figures(collected: Collected) -> None:
    client = opened(Pooled(), collected)
    assert sorted(collected.points(CONNECTIONS), key=str) == [
        (1, {"http.connection.state": "active", **OURS}),
        (2, {"http.connection.state": "idle", **OURS}),
    ]
    assert collected.points(PENDING) == [(3, OURS)]
    metrics = collected.metrics()
    assert [metrics[name].unit for name in (CONNECTIONS, PENDING)] == ["{connection}", "{request}"]
    assert not any(metrics[name].data.is_monotonic for name in (CONNECTIONS, PENDING))
    client.close()


def test_nothing_is_told_without_being_asked(kind: str, collected: Collected) -> None:
    client = Either(kind, Pooled([json_response({"sessionID": "ses1"})]), meter_provider=collected.provider)
    client(execute)
    assert not {CONNECTIONS, PENDING} & set(collected.metrics())


def test_a_transport_without_figures_has_no_metrics(kind: str, collected: Collected) -> None:
    options: dict[str, Any] = {"meter_provider": collected.provider, "pool_metrics": True}
    client = Either(kind, FakeTransport([json_response({"sessionID": "ses1"})]), **options)
    client(execute)
    assert not {CONNECTIONS, PENDING} & set(collected.metrics())


def test_the_figures_of_several_clients_are_added_up(collected: Collected) -> None:
    shared = Pooled()
    clients = [opened(transport, collected) for transport in (shared, shared, Pooled())]
    clients.append(clients[0].with_options(timeout=3))
    assert collected.points(PENDING) == [(6, OURS)]


def test_a_transport_that_is_forgotten_is_not_counted(collected: Collected) -> None:
    kept = opened(Pooled(), collected)
    opened(Pooled(), collected)
    gc.collect()
    assert collected.points(PENDING) == [(3, OURS)]
    del kept
    gc.collect()
    assert collected.points(PENDING) == []


def test_a_transport_that_goes_during_collection_is_no_harm(collected: Collected) -> None:
    others: list[Any] = []

    class Forgetful(Pooled):
        def pool_figures(self) -> Mapping[str, PoolFigures]:
            others.clear()
            return self.figures

    kept = opened(Forgetful(), collected)
    others.append(opened(Pooled(), collected))
    assert collected.points(PENDING)
    assert collected.points(PENDING) == [(3, OURS)]
    del kept


def test_a_transport_that_raises_hides_no_other(collected: Collected, caplog: pytest.LogCaptureFixture) -> None:
    class Raising(Pooled):
        def pool_figures(self) -> Mapping[str, PoolFigures]:
            raise ValueError("secret")

    class Odd(Pooled):
        figures = {"https://api.airplane.dev": "many"}

    clients = [opened(transport, collected) for transport in (Raising(), Odd(), Pooled())]
    with caplog.at_level(logging.INFO, "airplane_runbooks"):
        assert collected.points(PENDING) == collected.points(PENDING) == [(3, OURS)]
    assert [record.getMessage() for record in caplog.records] == ["telemetry is incomplete: builtins.ValueError"]
    del clients


def test_figures_of_unreadable_origins_are_left_out(collected: Collected) -> None:
    transport = Pooled()
    transport.figures = {"no origin": PoolFigures(1, 1, 1), "http+unix://%2Frun%2Fairplane.sock": PoolFigures(0, 1, 2)}
    client = opened(transport, collected)
    assert collected.points(PENDING) == [
        (2, {"server.address": "/run/airplane.sock", "network.transport": "unix"}),
    ]
    del client


def test_a_transport_without_weak_references_is_refused(collected: Collected) -> None:
    class Slotted:
        __slots__ = ()

        def send(self, request: Any, timeout: Any, /) -> Any: ...

        def close(self) -> None: ...

        def pool_figures(self) -> Mapping[str, PoolFigures]: ...  # type: ignore[empty-body]

    with pytest.raises(ConfigurationError, match="pool_metrics: Slotted needs __weakref__ among its __slots__"):
        opened(Slotted(), collected)


BEFORE_AND_AFTER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from airplane_runbooks import Airplane
from airplane_runbooks.transports.urllib3 import Urllib3Transport

def opened(provider=None):
    options = {"base_url": f"http://localhost:{1000 + len(clients)}/v0", "meter_provider": provider}
    clients.append(Airplane("tkn_test", pool_metrics=True, **options))

clients, reader = [], InMemoryMetricReader()
provider = MeterProvider([reader])
%s
scopes = reader.get_metrics_data().resource_metrics[0].scope_metrics
(metric,) = (one for scope in scopes for one in scope.metrics if one.name == "http.client.open_connections")
print(sorted({point.attributes["server.port"] - 1000 for point in metric.data.data_points}))
"""


@pytest.mark.parametrize(
    "steps",
    [
        "opened(); opened(); metrics.set_meter_provider(provider); opened(); opened(provider)",
        "metrics.set_meter_provider(provider); opened(); opened(provider); opened(); opened()",
        "opened(provider); opened(provider); metrics.set_meter_provider(provider); opened(); opened(provider)",
    ],
    ids=["clients first", "provider first", "given before it is set"],
)
def test_clients_are_counted_once_in_whatever_order_they_come(steps: str) -> None:
    code = BEFORE_AND_AFTER % steps
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[0, 1, 2, 3]", "")


def test_a_call_does_nothing_for_the_figures(collected: Collected) -> None:
    asked: list[str] = []

    class Noting(Urllib3Transport):
        def pool_figures(self) -> dict[str, PoolFigures]:
            asked.append("")
            return super().pool_figures()

    with HostileServer(always(STARTED)) as server:
        transport = Noting()
        airplane = Airplane(
            "tkn_test",
            base_url=f"{server.origin}/v0",
            transport=transport,
            meter_provider=collected.provider,
            pool_metrics=True,
        )
        execute(airplane)
        transport.send(request_to(server.origin), PLENTY)
        assert asked == []
        assert collected.points(CONNECTIONS)
        assert asked != []
        airplane.close()
