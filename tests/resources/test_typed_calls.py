"""Typed calls and answers, in place of slugs and values, with either client."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airplane_runbooks import ConfigurationError, ParamValueError, RunbookCall
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

STARTED = json_response({"sessionID": "ses1"})
ENDED = json_response({"id": "ses1", "status": "Succeeded"})


class Refund(RunbookCall[str], slug="refund"):
    customer: Any
    limit: int | None = None


class Abstract(RunbookCall[str]):
    customer: str


class Approval(msgspec.Struct):
    approve: bool
    note: str | None = None


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


def sent(transport: FakeTransport) -> Any:
    return msgspec.json.decode(transport.requests[0].body)


def test_a_typed_call_is_executed(kind):
    transport = FakeTransport([STARTED])
    started = Either(kind, transport)(lambda airplane: airplane.runbooks.execute(Refund(customer="c1")))

    assert started.session_id == "ses1"
    assert sent(transport) == {"slug": "refund", "paramValues": {"customer": "c1"}}


def test_a_typed_call_is_executed_and_waited_for(kind):
    transport = FakeTransport([STARTED, ENDED])
    call = Refund(customer="c1", limit=5)
    session = Either(kind, transport)(lambda airplane: airplane.runbooks.execute_and_wait(call, wait_timeout=60))

    assert session.id == "ses1"
    assert sent(transport) == {"slug": "refund", "paramValues": {"customer": "c1", "limit": 5}}


@pytest.mark.parametrize("method", ["execute", "execute_and_wait"])
@pytest.mark.parametrize(
    ("args", "options", "problem"),
    [
        ((Refund(customer="c1"), {"limit": 5}), {}, "pass no param_values and no id"),
        ((Refund(customer="c1"),), {"id": "rbk1"}, "pass no param_values and no id"),
        ((Refund,), {}, "slug must be an object of Refund, with its values, not the class itself"),
        ((5,), {}, "slug must be a runbook's slug or a RunbookCall, not int"),
        ((Abstract(customer="c1"),), {}, "Abstract needs a slug"),
    ],
)
def test_what_is_not_one_execution_is_refused(kind, method, args, options, problem):
    transport = FakeTransport([])
    more = {"wait_timeout": 60} if method == "execute_and_wait" else {}
    with pytest.raises(ConfigurationError, match=problem):
        Either(kind, transport)(lambda airplane: getattr(airplane.runbooks, method)(*args, **options, **more))
    assert transport.requests == []


def test_a_value_that_cannot_be_sent_is_named(kind):
    with pytest.raises(ParamValueError, match=r"param_values\.customer: a value of type bytes"):
        Either(kind, FakeTransport([]))(lambda airplane: airplane.runbooks.execute(Refund(customer=b"c1")))


def test_an_answer_may_be_submitted_as_a_struct(kind):
    transport = FakeTransport([json_response({"id": "pmt1"})])
    Either(kind, transport)(lambda airplane: airplane.prompts.submit("pmt1", Approval(approve=True)))

    assert sent(transport) == {"id": "pmt1", "values": {"approve": True}}
