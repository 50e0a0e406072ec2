"""The SDK against a script: what it sends, and which error becomes which."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from acme_ops import Ops, OpsError, OpsPending, OpsRefused, OpsUnavailable, Receipt, bundle, ticket
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airplane_runbooks import Airplane, ConnectionLost, Request, Response
from airplane_runbooks.testing import FakeClock, FakeTransport, json_response

RECEIPT = Receipt(id="rfd_1", customer="c1", cents=5)
STARTED = json_response({"sessionID": "ses1"})
ENDED = json_response({"id": "ses1", "status": "Succeeded", "output": RECEIPT})
BUSY = json_response({"error": "try later"}, status=503)
SPANS = InMemorySpanExporter()


def sdk(*answers: Response | Exception) -> tuple[Ops, list[Request]]:
    """Return the SDK on a script, and the requests that it sends."""
    transport = FakeTransport(answers)
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(SPANS))
    airplane = Airplane(
        "tkn_test", transport=transport, clock=FakeClock(), bundles=[bundle("billing")], tracer_provider=tracers
    )
    return Ops(airplane), transport.requests


@pytest.fixture(autouse=True)
def no_spans() -> Iterator[None]:
    yield
    SPANS.clear()


def test_each_request_names_the_team_the_sdk_and_the_ticket() -> None:
    ops, requests = sdk(STARTED, ENDED)
    with ticket("OPS-12"):
        ops.refund("c1", 5)

    assert [request.headers["x-acme-team"] for request in requests] == ["billing", "billing"]
    assert [request.headers["x-acme-ticket"] for request in requests] == ["OPS-12", "OPS-12"]
    assert requests[0].headers["user-agent"].endswith(" acme-ops/1.4")


def test_a_ticket_ends_with_its_block() -> None:
    ops, requests = sdk(STARTED, ENDED)
    with ticket("OPS-12"):
        pass
    ops.refund("c1", 5)
    assert "x-acme-ticket" not in requests[0].headers


def test_a_call_that_is_repeated_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "acme_ops")
    ops, requests = sdk(BUSY, STARTED, ENDED)

    assert ops.refund("c1", 5) == RECEIPT
    assert len(requests) == 3
    assert [record.getMessage() for record in caplog.records if record.name == "acme_ops"] == [
        "runbooks.execute: 200",
        "sessions.get: 200",
    ]


def test_spans_tell_the_team() -> None:
    ops, _ = sdk(STARTED, ENDED)
    ops.refund("c1", 5)
    whole = [span for span in SPANS.get_finished_spans() if span.name == "runbooks.run"]
    assert [dict(span.attributes or {})["acme.team"] for span in whole] == ["billing"]


def test_a_request_id_is_the_key_of_all_attempts() -> None:
    ops, requests = sdk(BUSY, STARTED, ENDED)
    ops.refund("c1", 5, request_id="order-1")
    assert [request.headers.get("idempotency-key") for request in requests] == ["order-1", "order-1", None]


@pytest.mark.parametrize(
    ("answers", "kind", "may_have_happened"),
    [
        ([json_response({"error": "no"}, status=403)], OpsRefused, False),
        ([json_response({"error": "what?"}, status=400)], OpsRefused, False),
        ([BUSY] * 8, OpsUnavailable, True),
        ([ConnectionLost("reset", sent=True)] * 8, OpsUnavailable, True),
        ([STARTED, *[BUSY] * 1000], OpsPending, True),
        ([STARTED, json_response({"id": "ses1", "status": "Succeeded", "output": 7})], OpsError, True),
    ],
    ids=["forbidden", "bad", "busy", "lost", "busy after the start", "another result"],
)
def test_each_error_becomes_one_of_the_sdk(
    answers: list[Response | Exception], kind: type[OpsError], *, may_have_happened: bool
) -> None:
    ops, _ = sdk(*answers)
    with pytest.raises(OpsError) as caught:
        ops.refund("c1", 5, request_id="order-1")
    assert type(caught.value) is kind
    assert caught.value.may_have_happened == may_have_happened
    assert caught.value.request_id == "order-1"


@pytest.mark.parametrize("status", [401, 404])
def test_a_receipt_that_is_refused_is_not_pending(status: int) -> None:
    ops, _ = sdk(json_response({"error": "no"}, status=status))
    with pytest.raises(OpsRefused):
        ops.receipt("ses2")


def test_a_receipt_that_cannot_be_read_is_not_pending() -> None:
    ops, _ = sdk(json_response({"id": "ses1", "status": "Succeeded", "output": 7}))
    with pytest.raises(OpsError) as caught:
        ops.receipt("ses1")
    assert type(caught.value) is OpsError


def test_a_receipt_by_a_closed_client_is_not_pending() -> None:
    airplane = Airplane("tkn_test")
    airplane.close()
    with pytest.raises(OpsRefused):
        Ops(airplane).receipt("ses1")


def test_a_client_that_was_passed_stays_open() -> None:
    ops, requests = sdk(STARTED, ENDED)
    ops.close()
    assert ops.refund("c1", 5) == RECEIPT
    assert len(requests) == 2


def test_a_missing_key_is_an_error_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRPLANE_API_KEY", raising=False)
    with pytest.raises(OpsRefused, match="AIRPLANE_API_KEY"):
        Ops.connect("billing")


def test_a_value_that_json_cannot_carry_is_refused() -> None:
    ops, requests = sdk()
    with pytest.raises(OpsRefused, match=r"param_values\.customer"):
        ops.refund("\ud800", 5)
    assert not requests
