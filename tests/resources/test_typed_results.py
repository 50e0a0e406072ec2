"""Results as the types that callers ask for or that typed calls bring along, with either client."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest

from airplane_runbooks import ConfigurationError, DecodeError, RunbookCall
from airplane_runbooks.models.outputs import MASK
from airplane_runbooks.testing import FakeTransport, json_response
from tests.support.clients import Either

STARTED = json_response({"sessionID": "ses1"})


class Invoice(msgspec.Struct):
    id: str
    cents: int


@dataclass
class Receipt:
    id: str
    cents: int | None


class Total(TypedDict):
    cents: int


class Bill(RunbookCall[list[Invoice]], slug="bill"):
    customer: str


class Untyped(RunbookCall, slug="bill"):
    pass


class Nothing(RunbookCall[None], slug="bill"):
    pass


class Later(RunbookCall["Invoice"], slug="bill"):
    pass


@pytest.fixture(params=["sync", "async"])
def kind(request):
    return request.param


def ended(output: Any) -> Any:
    return json_response({"id": "ses1", "status": "Succeeded", "output": output, "runID": "run1"})


@pytest.mark.parametrize(
    ("output", "wanted", "value"),
    [
        ({"id": "i1", "cents": 5}, Invoice, Invoice("i1", 5)),
        ({"id": "i1", "cents": None}, Receipt, Receipt("i1", None)),
        ({"cents": 5}, Total, {"cents": 5}),
        ([{"id": "i1", "cents": 5}], list[Invoice], [Invoice("i1", 5)]),
        (None, Invoice | None, None),
        ({"id": "i1"}, None, {"id": "i1"}),
    ],
    ids=repr,
)
def test_a_result_is_returned_as_the_type_asked_for(kind, output, wanted, value):
    either = Either(kind, FakeTransport([ended(output), STARTED, ended(output)]))

    assert either(lambda airplane: airplane.sessions.result("ses1", wait_timeout=60, type=wanted)) == value
    assert either(lambda airplane: airplane.runbooks.run("bill", wait_timeout=60, type=wanted)) == value


@pytest.mark.parametrize(
    ("call", "output", "value"),
    [
        (Bill(customer="c1"), [{"id": "i1", "cents": 5}], [Invoice("i1", 5)]),
        (Untyped(), {"a": 1}, {"a": 1}),
        (Nothing(), None, None),
    ],
    ids=["typed", "untyped", "nothing"],
)
def test_a_typed_call_returns_a_result_of_its_type(kind, call, output, value):
    either = Either(kind, FakeTransport([STARTED, ended(output)]))

    assert either(lambda airplane: airplane.runbooks.run(call, wait_timeout=60)) == value


def test_a_long_result_is_read_as_its_type(kind):
    session = json_response({"id": "ses1", "status": "Succeeded", "runID": "run1"})
    outputs = json_response({"output": [{"id": "i1", "cents": number} for number in range(5000)]})
    result = Either(kind, FakeTransport([session, outputs]))(
        lambda airplane: airplane.sessions.result("ses1", wait_timeout=60, type=list[Invoice])
    )

    assert result[-1] == Invoice("i1", 4999)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ([{"id": "i1", "cents": "5"}], "Expected `int`, got `str` - at `$[0].cents`"),
        ([{"id": "i1", "cents": MASK}], "Expected `int`, got `str` - at `$[0].cents`; a secret is masked there"),
        (None, "Expected `array`, got `null`"),
    ],
    ids=["type", "masked", "null"],
)
def test_a_result_of_another_type_names_its_path(kind, output, problem):
    either = Either(kind, FakeTransport([STARTED, ended(output)]))
    with pytest.raises(DecodeError) as caught:
        either(lambda airplane: airplane.runbooks.run(Bill(customer="c1"), wait_timeout=60))
    error = caught.value

    assert str(error) == f"the session has succeeded, but its result cannot be read: {problem}"
    assert (error.session_id, error.operation, error.maybe_processed) == ("ses1", "runbooks.run", True)
    assert error.idempotency_key
    assert msgspec.json.decode(error.response.body) == output
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(copied), copied.response.body) == (str(error), error.response.body)


@pytest.mark.parametrize("wanted", ["Invoice", 5, list["Invoice"]], ids=repr)
def test_a_type_that_cannot_be_read_is_refused_before_any_call(kind, wanted):
    either = Either(kind, FakeTransport([]))
    for act in (
        lambda airplane: airplane.runbooks.run("bill", wait_timeout=60, type=wanted),
        lambda airplane: airplane.sessions.result("ses1", wait_timeout=60, type=wanted),
        lambda airplane: airplane.runbooks.run(Later(), wait_timeout=60),
    ):
        with pytest.raises(ConfigurationError, match="a result cannot be read as"):
            either(act)
    assert either.transport.requests == []
