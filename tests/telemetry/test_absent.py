"""Clients in a process that has not loaded OpenTelemetry, or loads it later."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airplane_runbooks.telemetry.absent import AbsentTelemetry
from airplane_runbooks.testing import FakeTransport
from tests.support.clients import Either
from tests.support.observed import OK, UNAVAILABLE, Observed, execute

CALLS = """
import sys
from airplane_runbooks import Airplane
from airplane_runbooks.testing import FakeTransport, json_response

started, ended = json_response({"sessionID": "ses1"}), json_response({"id": "ses1", "status": "Succeeded"})
client = Airplane("tkn_1", transport=FakeTransport([started, started, ended, started, ended]))
client.runbooks.execute("hello")
client.runbooks.execute_and_wait("hello", wait_timeout=60)
print("opentelemetry" in sys.modules)
"""
OBSERVED_LATER = f"""{CALLS}
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
client.CALL
print(*[span.name for span in exporter.get_finished_spans()])
"""


def lines_of(code: str, **environment: str) -> list[str]:
    """Return what a program prints whose environment has no settings of OpenTelemetry but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment)
    return done.stdout.splitlines()


def test_calls_do_not_load_opentelemetry_of_their_own_accord():
    assert lines_of(CALLS)[0] == "False"


def test_settings_of_opentelemetry_in_the_environment_load_it():
    assert lines_of(CALLS, OTEL_PYTHON_TRACER_PROVIDER="default_tracer_provider")[0] == "True"


@pytest.mark.parametrize(
    ("call", "spans"),
    [
        ('runbooks.execute("hello")', "POST runbooks.execute"),
        ('runbooks.execute_and_wait("hello", wait_timeout=60)', "POST GET runbooks.execute_and_wait"),
    ],
    ids=["one call", "a wait"],
)
def test_calls_are_traced_once_opentelemetry_is_loaded(call: str, spans: str):
    assert lines_of(OBSERVED_LATER.replace("CALL", call)) == ["False", spans]


def test_either_client_works_before_and_after_it_is_loaded(kind: str, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with monkeypatch.context() as without:
        without.delitem(sys.modules, "opentelemetry")
        client = Either(kind, FakeTransport([OK, UNAVAILABLE, OK, OK]))
        assert [client(execute).session_id for _ in range(2)] == ["ses1", "ses1"]
        core = client.client._runner.core
        assert isinstance(core.telemetry, AbsentTelemetry)

    assert client(execute).session_id == "ses1"
    assert not isinstance(core.telemetry, AbsentTelemetry)


def test_a_given_provider_is_reported_to_though_it_is_absent(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "opentelemetry")

    observed = Observed(kind)
    observed.execute()

    assert [span.name for span in observed.spans] == ["POST", "runbooks.execute"]
