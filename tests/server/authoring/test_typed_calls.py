"""Calls made from the runbooks themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import pytest

from airplane_runbooks import ConfigVar, ParamValueError, RunbookCall
from airplane_runbooks.models import ExecuteRunbook
from airplane_runbooks.models.typed_calls import request_of, result_type_of
from airplane_runbooks.operations import EXECUTE_RUNBOOK
from airplane_runbooks.server import AsyncContext, Context, runbook


class Level(StrEnum):
    LOW = "low"


@runbook(slug="pay_back")
def refund(context: Context, customer: str, limit: int = 100, *, note: str | None = None) -> str:
    return customer


@runbook
async def report(
    context: AsyncContext, day: date, since: datetime, level: Level, key: ConfigVar, *, tags: list[str]
) -> dict[str, int]:
    return {}


@runbook
def unannotated(context, anything):
    return anything


def test_arguments_are_given_by_position_and_by_keyword():
    by_keyword = refund.call(customer="c1", limit=5)

    assert isinstance(by_keyword, RunbookCall)
    assert by_keyword == refund.call("c1", 5)
    assert request_of(by_keyword) == ExecuteRunbook(slug="pay_back", param_values={"customer": "c1", "limit": 5})


def test_defaults_are_left_to_the_server():
    assert request_of(refund.call("c1")).param_values == {"customer": "c1"}


def test_values_are_encoded_as_the_schema_of_the_server_wants():
    call = report.call(
        date(2026, 1, 31),
        datetime(2026, 1, 31, 12, tzinfo=UTC),
        level=Level.LOW,
        key=ConfigVar("name"),
        tags=["a"],
    )

    sent = EXECUTE_RUNBOOK.body(request_of(call))

    assert sent == (
        b'{"slug":"report","paramValues":{"day":"2026-01-31","since":"2026-01-31T12:00:00Z","level":"low",'
        b'"key":{"__airplaneType":"configvar","name":"name"},"tags":["a"]}}'
    )


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (lambda: refund.call("c1"), str),
        (
            lambda: report.call(date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), Level.LOW, ConfigVar("n"), tags=[]),
            dict[str, int],
        ),
        (lambda: unannotated.call({"a": 1}), Any),
    ],
    ids=["plain", "async", "unannotated"],
)
def test_the_return_annotation_is_the_type_of_the_result(call, result):
    assert result_type_of(call()) == result


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "pay_back: missing a required argument: 'customer'"),
        ((), {"custmer": "c1"}, "pay_back has no parameter 'custmer': its parameters are customer, limit, note"),
        (("c1",), {"context": None}, "pay_back has no parameter 'context': its parameters are customer, limit, note"),
        (("c1", 5, "note"), {}, "pay_back: too many positional arguments"),
        (("c1",), {"customer": "c2"}, "pay_back: multiple values for argument 'customer'"),
    ],
)
def test_arguments_that_the_function_does_not_take_are_refused(args, kwargs, problem):
    call: Any = refund.call
    with pytest.raises(TypeError) as caught:
        call(*args, **kwargs)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"customer": 1}, "param_values.customer: expected a string, got a number"),
        ({"customer": None}, "param_values.customer: a value is required"),
        ({"customer": "c1", "limit": "5"}, "param_values.limit: expected an integer, got a string"),
        ({"customer": b"c1"}, "param_values.customer: a value of type bytes cannot be sent"),
    ],
)
def test_values_that_do_not_fit_are_refused_before_they_are_sent(values, problem):
    call: Any = refund.call
    with pytest.raises(ParamValueError) as caught:
        call(**values)
    assert str(caught.value) == problem
