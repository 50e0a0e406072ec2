"""Spans and metrics of a client under an SDK that a configuration file has set up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.telemetry

CONFIGURATION = """\
file_format: "1.0"
resource:
  attributes:
    - name: service.name
      value: refunds
propagator:
  composite:
    - tracecontext:
tracer_provider:
  processors:
    - simple:
        exporter:
          console:
meter_provider:
  readers:
    - periodic:
        exporter:
          console:
"""

SERVICE = """\
import sys

from opentelemetry import metrics, trace
from opentelemetry.configuration import configure_sdk, load_config_file

from airplane_runbooks import Airplane
from airplane_runbooks.testing import FakeTransport, json_response

configure_sdk(load_config_file(sys.argv[1]))
transport = FakeTransport([json_response({"sessionID": "ses1"})])
Airplane("tkn_declared", transport=transport).runbooks.execute(slug="refund")
assert "traceparent" in transport.requests[0].headers
metrics.get_meter_provider().shutdown()
trace.get_tracer_provider().shutdown()
"""


def test_an_sdk_from_a_configuration_file_gets_spans_and_metrics(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="this SDK reads no configuration files")
    file = tmp_path / "otel.yaml"
    file.write_text(CONFIGURATION)
    done = subprocess.run([sys.executable, "-c", SERVICE, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("runbooks.execute", "POST", "http.client.request.duration", "airplane.client.operation.duration"):
        assert f'"name": "{name}"' in done.stdout
    assert '"service.name": "refunds"' in done.stdout
    assert "tkn_declared" not in done.stdout + done.stderr
