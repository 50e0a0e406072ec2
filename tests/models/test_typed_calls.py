"""Calls of runbooks that are declared as classes: their arguments, their requests, and the types of their results."""

from __future__ import annotations

import copy
import pickle
from datetime import date
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from airplane_runbooks import ConfigurationError, RunbookCall
from airplane_runbooks.models import ExecuteRunbook
from airplane_runbooks.models.typed_calls import declare_call, request_of, result_type_of, values_of
from airplane_runbooks.operations import EXECUTE_RUNBOOK

T = TypeVar("T")


class Refund(RunbookCall[str], slug="refund"):
    customer: str
    limit: int = 100
    since: date | UnsetType = UNSET
    reason: str | None = None
    dry_run: bool = msgspec.field(default=True, name="dry-run")


class Batch(RunbookCall[list[T]], Generic[T]):
    customers: tuple[str, ...]


class Numbers(Batch[int], slug="numbers"):
    pass


class Again(Numbers, slug="again"):
    times: int = 2


class Wrapped(RunbookCall[T]):
    value: int


class Mapped(Wrapped[dict[str, int]], slug="mapped"):
    pass


class Untyped(RunbookCall, slug="untyped"):
    pass


class Renamed(RunbookCall[None], slug="renamed", rename="kebab"):
    dry_run: bool


def test_a_call_becomes_a_request_with_its_slug_and_values():
    call = Refund(customer="c1", since=date(2026, 1, 31), reason="late")

    request = request_of(call)

    assert (request.id, request.slug) == (None, "refund")
    assert EXECUTE_RUNBOOK.body(request) == (
        b'{"slug":"refund","paramValues":'
        b'{"customer":"c1","limit":100,"since":"2026-01-31","reason":"late","dry-run":true}}'
    )


def test_fields_that_are_unset_or_none_by_default_are_left_out():
    assert values_of(Refund(customer="c1")) == {"customer": "c1", "limit": 100, "dry-run": True}


def test_a_none_that_is_not_the_default_is_sent():
    given: Any = None
    assert values_of(Refund(customer=given, limit=given)) == {"customer": None, "limit": None, "dry-run": True}


def test_a_rule_for_names_holds_for_all_fields():
    assert request_of(Renamed(dry_run=False)) == ExecuteRunbook(slug="renamed", param_values={"dry-run": False})


def test_a_field_may_bear_any_name():
    fields = ["slug", "id", "values", "result", "type"]
    names: Any = declare_call("names", fields, int)
    call = names(**dict.fromkeys(fields, 1))
    assert request_of(call) == ExecuteRunbook(slug="names", param_values=dict.fromkeys(fields, 1))


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (Refund(customer="c1"), str),
        (Numbers(customers=()), list[int]),
        (Again(customers=()), list[int]),
        (Mapped(value=1), dict[str, int]),
        (Untyped(), Any),
        (Renamed(dry_run=True), type(None)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, RunbookCall) else str(value),
)
def test_the_class_tells_the_type_of_the_result(call, result):
    assert result_type_of(call) == result


def test_a_class_inherits_fields_but_not_the_other_slug():
    assert request_of(Again(customers=("a",))) == ExecuteRunbook(
        slug="again", param_values={"customers": ("a",), "times": 2}
    )


def test_a_class_without_a_slug_cannot_be_called():
    with pytest.raises(ConfigurationError, match=r'Wrapped needs a slug: class Wrapped\(RunbookCall\[...\], slug="'):
        request_of(Wrapped(value=1))


def test_calls_are_immutable_and_compare_by_value():
    call: Any = Refund(customer="c1")

    with pytest.raises(AttributeError, match="immutable"):
        call.customer = "c2"
    assert call == copy.copy(call) == pickle.loads(pickle.dumps(call))
    assert call != Refund(customer="c2")
    assert len({call, Refund(customer="c1")}) == 1


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "Missing required argument 'customer'"),
        ((), {"custmer": "c1"}, "Unexpected keyword argument 'custmer'"),
        (("c1",), {}, "Extra positional arguments"),
    ],
)
def test_wrong_names_of_arguments_are_refused(args, kwargs, problem):
    kind: Any = Refund
    with pytest.raises(TypeError, match=problem):
        kind(*args, **kwargs)


def test_wrong_options_of_a_class_are_refused():
    with pytest.raises(TypeError, match="slg"):
        type(Refund)("Typo", (RunbookCall,), {}, slg="refund")


def test_a_declared_call_leaves_out_what_is_not_given():
    kind: Any = declare_call("refund", ["customer", "limit"], list[str])

    assert request_of(kind(limit=None)) == ExecuteRunbook(slug="refund", param_values={"limit": None})
    assert result_type_of(kind()) == list[str]
    assert repr(kind(customer="c1")) == "refund(customer='c1', limit=UNSET)"
