"""Parameter values by example: their encoding, and the errors for the others."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest

from airplane_runbooks import (
    Airplane,
    AirplaneError,
    ConfigVar,
    ParamValueError,
    Upload,
)
from airplane_runbooks.schema import encoding
from airplane_runbooks.schema.encoding import encode_params
from airplane_runbooks.schema.timestamps import utc_text
from airplane_runbooks.testing import FakeTransport


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (-0.0, "-0.0"),
        (date(2024, 2, 29), '"2024-02-29"'),
        (date(33, 4, 3), '"0033-04-03"'),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), '"2024-01-02T03:04:05Z"'),
        (datetime(2024, 1, 2, 3, 4, 5, 60, tzinfo=UTC), '"2024-01-02T03:04:05.000060Z"'),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5))), '"2024-01-01T22:04:05Z"'),
        (ConfigVar("db"), '{"__airplaneType":"configvar","name":"db"}'),
        (Upload("upl1"), '"upl1"'),
        ((1, "a"), '[1,"a"]'),
        (MappingProxyType({"a": (date(2024, 1, 1),)}), '{"a":["2024-01-01"]}'),
        ("naïve \u2028", '"naïve \u2028"'),
    ],
)
def test_each_kind_of_value_has_one_form(value, written):
    assert encode_params({"v": value}) == f'{{"v":{written}}}'.encode()


def test_plain_values_are_never_walked(monkeypatch):
    monkeypatch.delattr(encoding, "_rebuild")

    assert encode_params({"a": [1, "b", {"c": (0.5, None)}]}) == b'{"a":[1,"b",{"c":[0.5,null]}]}'


def test_an_empty_mapping_is_an_empty_object():
    assert encode_params({}) == b"{}"


def test_an_empty_key_is_a_key():
    assert encode_params({"": {"": 1}}) == b'{"":{"":1}}'


def test_the_order_of_keys_is_kept():
    values = {"b": 1, "a": {"d": date(2024, 1, 1), "c": 2}}

    assert list(json.loads(encode_params(values))) == ["b", "a"]
    assert list(json.loads(encode_params(values))["a"]) == ["d", "c"]


@pytest.mark.parametrize("values", [None, [], "text", 1, [("a", 1)], object()])
def test_values_other_than_a_mapping_are_refused(values):
    with pytest.raises(ParamValueError, match="param_values: must be a mapping, not "):
        encode_params(values)


def test_the_root_of_the_path_is_the_name_of_the_argument():
    with pytest.raises(ParamValueError) as refused:
        encode_params({"rows": [{"at": float("nan")}]}, "values")

    assert str(refused.value) == "values.rows[0].at: nan has no form in JSON"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"raw", "param_values.v: a value of type bytes cannot be sent"),
        ([1, 10**4300], r"param_values.v\[1\]: is an integer of too many digits"),
        ({"two words": datetime(2024, 1, 1)}, r"param_values.v\['two words'\]: is a datetime without a time zone"),  # noqa: DTZ001
        ({"a": {2: 1}}, "param_values.v.a: the key 2 is a int, not a string"),
        ("ab\udead", "param_values.v: has a lone surrogate at index 2, which is not text"),
        (ConfigVar(7), "param_values.v: must be a string, not int"),
        (
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
            "param_values.v: .* outside of the years 1 to 9999",
        ),
    ],
)
def test_an_error_names_the_path_and_the_problem(value, message):
    with pytest.raises(ParamValueError, match=f"^{message}"):
        encode_params({"v": value})


def test_an_error_is_a_value_error_without_a_cause():
    with pytest.raises(ValueError, match="cannot be sent") as refused:
        encode_params({"a": b""})

    assert isinstance(refused.value, AirplaneError)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("value", [float("nan"), b"raw", "\ud800", {1: 2}, {"deep": [[object()]]}])
def test_nothing_is_sent_when_a_value_is_refused(value):
    transport = FakeTransport([])
    with Airplane("tkn_1", transport=transport) as airplane:
        for call in (airplane.runbooks.execute, airplane.tasks.execute):
            with pytest.raises(ParamValueError, match=r"^param_values\.v"):
                call(slug="s", param_values={"v": value})
        with pytest.raises(ParamValueError, match=r"^values\.v"):
            airplane.prompts.submit("pmt1", values={"v": value})

    assert transport.requests == []


class Form(dict[str, Any]):
    """A dict that names a field twice when it is read out."""

    def items(self) -> Any:
        return [("a", 1), ("b", 2), ("a", 3)]


def test_a_key_that_appears_twice_is_refused():
    with pytest.raises(ParamValueError, match=r"^param_values: the key 'a' appears twice"):
        encode_params(Form())


class Bottomless(dict[str, Any]):
    def items(self) -> Any:
        return [("down", Bottomless())]


def test_a_mapping_that_never_ends_is_refused():
    with pytest.raises(ParamValueError, match=r"^param_values(\.down){101}: is nested more than 100 levels deep"):
        encode_params(Bottomless())


def test_a_value_used_twice_is_sent_twice():
    row = {"id": 1, "on": date(2024, 1, 1)}

    assert json.loads(encode_params({"rows": [row, row]})) == {"rows": [{"id": 1, "on": "2024-01-01"}] * 2}


def test_a_cycle_through_an_enum_is_refused():
    class Loop(Enum):
        ROWS = []

    Loop.ROWS.value.append(Loop.ROWS)

    with pytest.raises(ParamValueError, match=r"^param_values.a\[0\]: contains itself"):
        encode_params({"a": Loop.ROWS})


def test_a_list_that_doubles_at_each_level_is_refused_at_once():
    rows: list[Any] = []
    for _ in range(200):
        rows = [rows, rows]

    with pytest.raises(ParamValueError, match="is nested more than 100 levels deep"):
        encode_params({"rows": rows})


def test_a_value_used_twice_in_a_large_level_is_walked(monkeypatch):
    row = {"id": 1, "tags": ["a", 1.5]}
    single, double = {"rows": [copy.deepcopy(row) for _ in range(20)]}, {"rows": [row] * 20}
    expected = encode_params(double)
    assert encoding.plain_form(double) is not None
    monkeypatch.setattr(encoding, "_SUSPICIOUS", 10)

    assert encoding.plain_form(single) is not None
    assert encoding.plain_form(double) is None
    assert encode_params(single) == encode_params(double) == expected


@pytest.fixture
def few_digits() -> Iterator[None]:
    """Lower the process's limit on the digits of an integer."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(1000)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("few_digits")
def test_the_limit_on_digits_is_that_of_the_process():
    assert json.loads(encode_params({"n": 10**999})) == {"n": 10**999}
    with pytest.raises(ParamValueError, match=r"^param_values.n: is an integer of too many digits"):
        encode_params({"n": 10**1000})


def test_a_time_in_utc_is_written_with_a_z():
    assert utc_text(datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=-3)))) == "2024-07-01T15:00:00Z"
    with pytest.raises(ValueError, match="without a time zone"):
        utc_text(datetime(2024, 7, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="outside of the years"):
        utc_text(datetime.min.replace(tzinfo=timezone(timedelta(hours=1))))
