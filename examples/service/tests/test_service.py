"""The service under uvicorn, in front of a real server of runbooks."""

from __future__ import annotations

import socket
import threading
from typing import Any

import httpx
import pytest
import shop
import uvicorn
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from serving import serving

from airplane_runbooks import Airplane
from airplane_runbooks.server import RunbookServer

ADA = {"customer": "ada@example.com", "cents": 500}
LARGE = {"customer": "ada@example.com", "cents": 20_000}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def refund(caller: httpx.Client, order: str = "order-1", body: dict[str, Any] = ADA, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.post(f"/refunds/{order}", json=body, headers=named)


def test_a_refund_is_answered_with_its_result(caller: httpx.Client) -> None:
    answer = refund(caller)
    assert (answer.status_code, answer.json()) == (200, ADA)


def test_an_order_is_refunded_once(caller: httpx.Client, runbooks: RunbookServer) -> None:
    assert refund(caller).json() == refund(caller).json()
    with Airplane(runbooks.api_key, base_url=runbooks.base_url) as airplane:
        assert len(list(airplane.sessions.list())) == 1


def test_an_order_may_have_any_name(caller: httpx.Client) -> None:
    assert refund(caller, "bestellung-\u00fc 1").status_code == 200


def test_a_refund_that_failed_is_a_conflict(caller: httpx.Client) -> None:
    answer = refund(caller, body={"customer": "bob@elsewhere.com", "cents": 1})
    assert answer.status_code == 409
    assert "in step 'pay': LookupError: bob@elsewhere.com is not a customer" in answer.json()["error"]


def test_an_order_with_other_values_is_a_conflict(caller: httpx.Client) -> None:
    refund(caller)
    assert refund(caller, body={"customer": "ada@example.com", "cents": 1}).status_code == 409


def test_a_refund_that_is_not_waited_for_can_be_looked_up(caller: httpx.Client) -> None:
    started = caller.post("/refunds/order-1", json=LARGE, params={"wait": False})
    assert started.status_code == 202
    found = caller.get(f"/sessions/{started.json()['session']}")
    assert found.status_code == 200
    assert found.json()["result"] is None


def test_a_session_that_does_not_exist_is_not_found(caller: httpx.Client) -> None:
    assert caller.get("/sessions/ses00000000000000").status_code == 404


def test_a_refund_that_outlasts_its_caller_goes_on(caller: httpx.Client) -> None:
    for seconds in ("0.5", "5", "50"):  # a busy machine does not get far in the first
        answer = refund(caller, body=LARGE, x_request_timeout=seconds)
        if answer.status_code != 504:
            break
    assert answer.status_code == 202
    assert caller.get(f"/sessions/{answer.json()['session']}").json()["status"] in {"Active", "Waiting"}


def test_a_server_that_does_not_answer_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AIRPLANE_API_KEY", "tkn_test")
        monkeypatch.setenv("AIRPLANE_API_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with serving() as (_, url), httpx.Client(base_url=url, timeout=60, trust_env=False) as caller:
            assert refund(caller, x_request_timeout="0.3").status_code == 504


def test_a_wrong_base_url_is_not_the_callers_fault(
    runbooks: RunbookServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRPLANE_API_HOST", runbooks.base_url.removesuffix("/v0") + "/wrong")
    with serving() as (_, url), httpx.Client(base_url=url, timeout=60, trust_env=False) as caller:
        assert refund(caller).status_code == 502
    said = [record.getMessage() for record in caplog.records if record.name == "refunds.errors"]
    assert len(said) == 1
    assert said[0].startswith("runbooks.execute failed after 1 attempts: 404: this server has no route")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_deadline_that_is_no_time_is_unprocessable(caller: httpx.Client, seconds: str) -> None:
    assert refund(caller, x_request_timeout=seconds).status_code == 422


def test_a_server_that_is_gone_is_unavailable(caller: httpx.Client, runbooks: RunbookServer) -> None:
    assert caller.get("/health/ready").status_code == 200
    runbooks.close()
    ready = caller.get("/health/ready", headers={"x-request-timeout": "1"})
    answers = [refund(caller, x_request_timeout="1"), ready]
    assert {answer.status_code for answer in answers} <= {503, 504}
    assert caller.get("/health/live").status_code == 200


def test_the_trace_of_the_caller_goes_on_in_the_runbook(caller: httpx.Client, spans: InMemorySpanExporter) -> None:
    refund(caller, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    names = {one.name for one in spans.get_finished_spans() if one.parent and one.parent.trace_id == int(TRACE, 16)}
    assert {"runbooks.run", "step pay"} <= names


def test_open_requests_are_answered_before_the_end(
    service: tuple[uvicorn.Server, str], caller: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    answers: list[httpx.Response] = []

    def slow(*_: object) -> bool:
        begun.set()
        return may_end.wait(60)

    monkeypatch.setattr(shop, "before_payment", slow)
    asking = threading.Thread(target=lambda: answers.append(refund(caller)))
    asking.start()
    assert begun.wait(60)
    service[0].should_exit = True  # as a SIGTERM does
    while service[0].servers and service[0].servers[0].is_serving():
        threading.Event().wait(0.01)
    may_end.set()
    asking.join()
    assert [answer.status_code for answer in answers] == [200]
