"""Validation of parameter values: Python values, or an error that names the path and hides the value."""

from __future__ import annotations

import dataclasses
import pickle
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from typing import Any

import msgspec
import pytest

from airplane_runbooks import ConfigVar, ParamValueError, Upload
from airplane_runbooks.models import Constraints, Parameter, ParameterSchema, Prompt, Run, Session, decode
from airplane_runbooks.schema.encoding import encode_params
from tests.support.schemas import (
    CONFIG_VAR,
    NOON,
    UPLOAD,
    parameter,
    raw,
    read,
    refusal,
)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Day(Enum):
    FIRST = date(2024, 2, 29)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "", ""),
        ("string", Colour.RED, "red"),
        ("string", date(2024, 2, 29), "2024-02-29"),
        ("boolean", False, False),
        ("integer", 2.0, 2),
        ("integer", Level.HIGH, 3),
        ("integer", 2**64, 2**64),
        ("integer", 2**53 + 1, 2**53 + 1),
        ("integer", -(2.0**53) + 1, -(2**53) + 1),
        ("float", 2, 2.0),
        ("float", 2**53, 2.0**53),
        ("float", -(2**1000), -(2.0**1000)),
        ("date", date(2024, 2, 29), date(2024, 2, 29)),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", "2024-02-29T23:00:00-05:00", date(2024, 2, 29)),
        ("date", Day.FIRST, date(2024, 2, 29)),
        ("date", NOON, date(2024, 2, 29)),
        ("datetime", NOON, NOON),
        ("datetime", NOON.astimezone(timezone(timedelta(hours=5))), NOON),
        ("datetime", "2024-02-29T13:00:00.000001+01:00", NOON + timedelta(microseconds=1)),
        ("datetime", "2024-02-29 12:00:00+00", NOON),
        ("configvar", "db", ConfigVar("db")),
        ("configvar", ConfigVar("db"), ConfigVar("db")),
        ("configvar", CONFIG_VAR, ConfigVar("db", "secret")),
        ("upload", "upl1", Upload("upl1")),
        ("upload", Upload("upl1"), Upload("upl1")),
        ("upload", UPLOAD, Upload("upl1", "https://files/upl1?signed")),
        ("upload", {**UPLOAD, "url": None}, Upload("upl1")),
        ("json", [1, {"a": None}], [1, {"a": None}]),
        ("json", {"at": (NOON, Upload("upl1"))}, {"at": ["2024-02-29T12:00:00Z", "upl1"]}),
        ("json", None, None),
        ("any", None, None),
        ("to come", {"a": [1]}, {"a": [1]}),
        ("to come", None, None),
        ("list", [1, "a", None], [1, "a", None]),
        ("map", {"a": 1, "": None}, {"a": 1, "": None}),
        ("map", OrderedDict(a=(1,)), {"a": [1]}),
        ("object", {"a": 1}, {"a": 1}),
    ],
)
def test_each_type_has_its_python_values(kind, value, expected):
    made = read(parameter(kind), value)

    assert made == expected
    assert type(made) is type(expected)


def test_a_time_is_converted_to_utc():
    assert read(parameter("datetime"), NOON.astimezone(timezone(timedelta(hours=5)))).tzinfo is UTC


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("string", 1, "expected a string, got a number"),
        ("string", ConfigVar("db"), "expected a string, got an object"),
        ("boolean", 1, "expected a boolean, got a number"),
        ("integer", 1.5, "expected an integer, got a number"),
        ("integer", True, "expected an integer, got a boolean"),
        ("integer", "1", "expected an integer, got a string"),
        ("float", False, "expected a number, got a boolean"),
        ("integer", 2.0**53, "expected an integer, got a number"),
        ("integer", 1e23, "expected an integer, got a number"),
        ("float", 10**400, "expected a number, got a number"),
        ("float", 2**53 + 1, "the number has more digits than a float holds"),
        ("float", "2.5", "expected a number, got a string"),
        ("boolean", "true", "expected a boolean, got a string"),
        ("date", "20240229", "expected a date (YYYY-MM-DD), got a string"),
        ("date", "2023-02-29", "expected a date (YYYY-MM-DD), got a string"),
        ("date", "2024-02-29 or so", "expected a date (YYYY-MM-DD), got a string"),
        ("date", "\u0662\u0660\u0662\u0664-02-29", "expected a date (YYYY-MM-DD), got a string"),
        ("date", "2024-W09-4", "expected a date (YYYY-MM-DD), got a string"),
        ("datetime", "2024-02-29", "expected a time (RFC 3339), got a string"),
        ("datetime", "2024-02-29x12:00:00", "expected a time (RFC 3339), got a string"),
        ("datetime", "2024-02-29T12", "expected a time (RFC 3339), got a string"),
        ("datetime", "", "expected a time (RFC 3339), got a string"),
        ("datetime", "20240229T120000Z", "expected a time (RFC 3339), got a string"),
        ("datetime", "0001-01-01T00:00:00+01:00", "expected a time (RFC 3339), got a string"),
        ("configvar", 1, "expected a config variable, got a number"),
        ("configvar", {"name": "db"}, "expected a config variable, got an object"),
        ("configvar", {**CONFIG_VAR, "name": 1}, "expected a config variable, got an object"),
        ("configvar", UPLOAD, "expected a config variable, got an object"),
        ("upload", ["upl1"], "expected an upload, got an array"),
        ("upload", {**UPLOAD, "id": None}, "expected an upload, got an object"),
        ("upload", {**UPLOAD, "url": 1}, "expected an upload, got an object"),
        ("upload", CONFIG_VAR, "expected an upload, got an object"),
        ("list", {}, "expected an array, got an object"),
        ("map", [], "expected an object, got an array"),
        ("object", "{}", "expected an object, got a string"),
        ("string", b"raw", "a value of type bytes cannot be sent"),
        ("float", float("nan"), "nan has no form in JSON"),
        ("datetime", datetime(2024, 1, 1), "is a datetime without a time zone"),  # noqa: DTZ001
        ("string", "\ud800", "has a lone surrogate at index 0, which is not text"),
    ],
)
def test_a_wrong_value_is_refused_without_showing_it(kind, value, problem):
    assert refusal(parameter(kind), p=value) == f"values.p: {problem}"


def test_anything_but_a_mapping_is_refused():
    with pytest.raises(ParamValueError, match=r"^values: must be a mapping, not list"):
        ParameterSchema().validate([])


def test_the_root_of_the_path_is_the_name_of_the_argument():
    with pytest.raises(ParamValueError) as refused:
        ParameterSchema(parameters=(parameter(),)).validate({"p": 1}, "param_values")

    assert refused.value.path == "param_values.p"
    assert pickle.loads(pickle.dumps(refused.value)).path == "param_values.p"
    assert refused.value.__suppress_context__


ROWS = parameter(
    "list",
    slug="rows",
    values=raw(parameter("object"), params=[raw(parameter("datetime"), slug="at"), raw(parameter("map"), slug="more")]),
)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"at": NOON, "more": {}}] * 3 + [{"at": 1, "more": {}}], "values.rows[3].at: expected a time (RFC 3339), got a number"),  # noqa: E501
        ([{"at": NOON}], "values.rows[0].more: a value is required"),
        ([{"at": NOON, "more": {}, "two words": 1}], "values.rows[0]['two words']: there is no such parameter"),
        ([None], "values.rows[0]: expected an object, got null"),
        ([{"at": NOON, "more": {"a": [float("inf")]}}], "values.rows[0].more.a[0]: inf has no form in JSON"),
    ],
)  # fmt: skip
def test_the_path_of_an_error_leads_to_the_field(rows, message):
    assert refusal(ROWS, rows=rows) == message


def test_a_default_stands_in_for_what_is_missing_or_null():
    schema = ParameterSchema(parameters=(parameter("date", default="2024-02-29"),))

    assert schema.validate({}) == schema.validate({"p": None}) == {"p": date(2024, 2, 29)}
    assert schema.validate({"p": date(2024, 3, 1)}) == {"p": date(2024, 3, 1)}


def test_an_optional_parameter_is_none_without_a_value():
    for kind in ("string", "json", "list", "to come"):
        assert read(parameter(kind, optional=True), None) is None
    assert ParameterSchema(parameters=(parameter(optional=True),)).validate({}) == {"p": None}
    assert ParameterSchema(parameters=(parameter(optional=True, default="a"),)).validate({}) == {"p": "a"}


@pytest.mark.parametrize("kind", ["string", "json", "list", "object", "to come"])
def test_a_required_value_must_be_there(kind):
    assert refusal(parameter(kind)) == "values.p: a value is required"


def test_null_does_not_count_as_a_list():
    assert refusal(parameter("json", multi=True), p=None) == "values.p: a value is required"
    assert read(parameter("json", multi=True), [None]) == [None]


def test_a_slug_that_no_parameter_has_is_refused():
    assert refusal(parameter(optional=True), q=1) == "values.q: there is no such parameter"


def test_lists_maps_and_multi_are_read_by_their_elements():
    day, days = date(2024, 2, 29), ["2024-02-29", date(2024, 2, 29)]
    element = raw(parameter("date"))

    assert read(parameter("date", multi=True), days) == [day, day]
    assert read(parameter("list", values=element), tuple(days)) == [day, day]
    assert read(parameter("map", values=element), {"a": days[0], "b c": days[1]}) == {"a": day, "b c": day}
    assert refusal(parameter("map", values=element), p={"b c": 1}).startswith("values.p['b c']: expected a date")
    assert refusal(parameter("date", multi=True), p=[*days, None]).startswith("values.p[2]: expected a date")


def test_only_optional_elements_may_be_null():
    element = raw(parameter("date", optional=True))

    assert read(parameter("list", values=element), [None, "2024-02-29"]) == [None, date(2024, 2, 29)]
    assert read(parameter("map", values=element), {"a": None}) == {"a": None}
    assert refusal(parameter("list", values=raw(parameter("date"))), p=[None]).startswith("values.p[0]: ")


@pytest.mark.parametrize("name", ["params", "parameters"])
def test_an_object_is_read_by_its_members(name):
    members = [raw(parameter("integer", default=1), slug="n"), raw(parameter("date", optional=True), slug="on")]
    one = parameter("object", **{name: members})

    assert read(one, {}) == {"n": 1, "on": None}
    assert read(one, {"on": "2024-02-29"}) == {"n": 1, "on": date(2024, 2, 29)}
    assert refusal(one, p={"other": 1}) == "values.p.other: there is no such parameter"


def test_an_object_may_allow_what_it_does_not_know():
    one = parameter("object", params=[raw(parameter("integer"), slug="n")], allow_unknown_keys=True)

    assert read(one, {"n": 1.0, "other": {"a": 1}}) == {"n": 1, "other": {"a": 1}}


def nested(levels: int, leaf: Any = 1) -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


def deep_schema(levels: int, **fields: Any) -> Parameter:
    one = parameter("integer")
    for _ in range(levels):
        one = Parameter(slug="p", type="list", values=one)
    return msgspec.structs.replace(one, **fields)


def test_deep_nesting_is_refused_at_the_latest():
    endless: list[Any] = []
    endless.append(endless)

    assert refusal(parameter("json"), p=endless) == "values.p[0]: contains itself"
    assert "nested more than 100 levels" in refusal(parameter("json"), p=nested(101))
    assert read(deep_schema(100), nested(100)) == nested(100)
    assert refusal(deep_schema(5000, default=nested(5000))) == "values: is nested too deeply"
    assert read(deep_schema(5000), []) == []


def test_a_session_a_run_and_a_prompt_read_their_values():
    params = [{"slug": "on", "type": "date"}, {"slug": "db", "type": "configvar"}]
    body = {"status": "Active", "id": "x", "params": params, "paramValues": {"on": "2024-02-29", "db": CONFIG_VAR}}
    session, run = (decode(msgspec.json.encode(body), model) for model in (Session, Run))
    prompt = msgspec.convert({"id": "pmt1", "schema": {"parameters": params}, "values": body["paramValues"]}, Prompt)
    expected = {"on": date(2024, 2, 29), "db": ConfigVar("db", "secret")}

    assert session.parameter_schema.validate(session.param_values) == expected
    assert run.parameter_schema.validate(run.param_values) == expected
    assert prompt.schema.validate(prompt.values) == expected


class Refund(msgspec.Struct):
    colour: Colour
    level: Level
    on: date
    at: datetime
    db: ConfigVar
    files: list[Upload]
    note: str | None


RefundClass = dataclasses.make_dataclass(
    "RefundClass", Refund.__annotations__.items(), namespace={"__module__": __name__}
)


@pytest.mark.parametrize("kind", [Refund, RefundClass])
def test_validated_values_convert_to_a_class_of_the_caller(kind):
    kinds = {"colour": "string", "level": "integer", "on": "date", "at": "datetime", "db": "configvar"}
    schema = ParameterSchema(
        parameters=(
            *(parameter(type_, slug=slug) for slug, type_ in kinds.items()),
            parameter("upload", slug="files", multi=True),
            parameter(slug="note", optional=True),
        )
    )
    values = {
        "colour": Colour.RED,
        "level": Level.HIGH,
        "on": NOON.date(),
        "at": NOON,
        "db": CONFIG_VAR,
        "files": [UPLOAD],
    }

    refund = msgspec.convert(schema.validate(values), kind)

    assert refund == kind(
        Colour.RED, Level.HIGH, NOON.date(), NOON, ConfigVar("db", "secret"), [Upload("upl1", UPLOAD["url"])], None
    )
    assert refund.colour is Colour.RED


def test_the_address_of_an_upload_is_never_sent():
    assert encode_params({"p": Upload("upl1", "https://files/upl1?signed")}) == b'{"p":"upl1"}'


def test_the_regex_of_a_secret_is_not_shown():
    schema = ParameterSchema(
        parameters=(Parameter(slug="pin", type="string", secret=True, constraints=Constraints(regex="[0-9]+")),)
    )
    with pytest.raises(ParamValueError, match=r"^values\.pin: the value does not match the regex$"):
        schema.validate({"pin": "x"})
