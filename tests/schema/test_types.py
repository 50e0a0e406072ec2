"""Texts as parameter types read them: those of people in forms, and those of clients that only send strings."""

from __future__ import annotations

import json
from math import copysign
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airplane_runbooks import ConfigVar, Upload
from airplane_runbooks.models import Constraints, Parameter, ParameterType
from airplane_runbooks.schema.problems import MissingParameter, UnreadableText, ValueProblem
from airplane_runbooks.schema.reading import CheckedValues, ValueReader, unquote
from airplane_runbooks.schema.types import SCALARS, TYPES, Scalar, type_for, type_of
from tests.support.schemas import CONFIG_VAR, UPLOAD, parameter, raw

STRING, BOOLEAN, INTEGER, FLOAT, DATE, DATETIME, CONFIGVAR, UPLOADED = (
    type_of(ParameterType(name))
    for name in ("string", "boolean", "integer", "float", "date", "datetime", "configvar", "upload")
)


def exact(value: Any) -> Any:
    """Return what tells 1, 1.0 and true apart, and the zeros."""
    return type(value), value, copysign(1, value) if isinstance(value, float) else 0


def test_every_listed_type_has_its_object():
    assert set(TYPES) == set(ParameterType)
    assert all(TYPES[name].name is name for name in ParameterType)


def test_each_python_type_belongs_to_one_parameter_type():
    assert {one.python for one in TYPES.values() if isinstance(one, Scalar)} == set(SCALARS)
    for annotation in (str, bool, int, float, ConfigVar, Upload, list, dict, Any):
        assert type_for(annotation).python is annotation
    assert type_for(bytes) is type_for(None) is None


def test_an_unknown_type_is_free_json():
    kind = type_of(ParameterType("to come"))

    assert not isinstance(kind, Scalar)
    assert kind.null_is_a_value
    assert kind.display(value=True) == "Yes"
    assert kind.display({"a": 1}) is None
    assert kind.label({"a": 1}) == '{"a":1}'


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        (STRING, "  x\n", "  x\n"),
        (BOOLEAN, " Yes ", True),
        (BOOLEAN, "no", False),
        (BOOLEAN, "true", True),
        (INTEGER, " -42 ", -42),
        (INTEGER, "+7", 7),
        (FLOAT, " +.5 ", 0.5),
        (FLOAT, "1e3", 1000.0),
        (DATE, "2024-02-29", "2024-02-29"),
        (DATETIME, " 2024-02-29 12:30:01.5Z", "2024-02-29T12:30:01.500000Z"),
        (CONFIGVAR, " db ", "db"),
        (UPLOADED, "upl1", "upl1"),
    ],
)
def test_a_type_parses_a_text_that_people_type(kind, typed, value):
    assert exact(kind.parse(typed)) == exact(value)


@pytest.mark.parametrize(
    ("kind", "typed", "instruction"),
    [
        (BOOLEAN, "maybe", "Enter yes or no."),
        (INTEGER, "4.5", "Enter a whole number, such as 42."),
        (INTEGER, "9" * 5000, "Enter a whole number, such as 42."),
        (FLOAT, "inf", "Enter a number, such as 2.5."),
        (FLOAT, "1e999", "Enter a number, such as 2.5."),
        (FLOAT, "9007199254740993", "This number has more digits than can be kept."),
        (DATE, "2024/02/29", "Enter a date, such as 2024-01-31."),
        (DATE, "2023-02-29", "Enter a date, such as 2024-01-31."),
        (DATETIME, "2024-02-29T24:00", "Enter a date and a time, such as 2024-01-31 16:30."),
    ],
)
def test_a_type_tells_people_what_to_type_instead(kind, typed, instruction):
    with pytest.raises(UnreadableText) as refused:
        kind.parse(typed)

    assert str(refused.value) == instruction


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (STRING, " x", " x"),
        (BOOLEAN, True, "true"),
        (INTEGER, 2.0, "2"),
        (FLOAT, 2.5, "2.5"),
        (DATE, "2024-02-29T05:00:00+05:00", "2024-02-29"),
        (DATETIME, "2024-02-29T12:30:00.5+01:00", "2024-02-29T11:30:00.500"),
        (DATETIME, "2024-02-29T12:30:00Z", "2024-02-29T12:30:00"),
        (DATETIME, "2024-02-29T12:30:00.000001Z", None),
        (DATETIME, "", None),
        (CONFIGVAR, "db", "db"),
        (CONFIGVAR, {"__airplaneType": "configvar", "name": "db"}, "db"),
        (CONFIGVAR, CONFIG_VAR, None),
        (CONFIGVAR, " db", None),
        (UPLOADED, UPLOAD, None),
        (UPLOADED, {**UPLOAD, "url": None}, "upl1"),
    ],
)
def test_a_control_shows_a_value_that_it_can_hold(kind, value, text):
    assert kind.show(value) == text


def test_a_page_has_words_for_true_and_false_only():
    assert [BOOLEAN.display(value) for value in (True, False, None)] == ["Yes", "No", None]
    assert INTEGER.display(1) is None
    assert type_of(ParameterType.JSON).display(value=False) == "No"


def test_a_reference_is_labelled_by_its_name():
    assert [CONFIGVAR.label(value) for value in (CONFIG_VAR, "db")] == ["db", "db"]
    assert INTEGER.label(1) == "1"


@given(st.integers(-(10**300), 10**300))
def test_every_integer_is_read_from_its_json(number):
    assert exact(INTEGER.unquote(json.dumps(number), parameter())) == exact(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_from_json_and_from_17_digits(number):
    for text in (json.dumps(number), f"{number:.16e}"):
        assert exact(FLOAT.unquote(text, parameter())) == exact(number)


@given(st.sampled_from([INTEGER, FLOAT, BOOLEAN]), st.text("0123456789eE+-._ truefalsn", max_size=8) | st.text())
@example(FLOAT, "1e99999999999999999999")
@example(FLOAT, "1e400")
@example(INTEGER, "1.5")
@example(FLOAT, "2" * 5000)
@example(BOOLEAN, "true")
def test_a_quoted_value_is_read_as_a_json_decoder_reads_it(kind, text):
    value = kind.unquote(text, parameter())
    if value is not text:
        assert json.loads(text) == value


@pytest.mark.parametrize("text", ["0.1000000000000000055", "1e99999999999999999999", "+20", "2_0", "True", ""])
def test_a_string_that_spells_no_value_exactly_stays_a_string(text):
    assert [kind.unquote(text, parameter()) for kind in (INTEGER, FLOAT, BOOLEAN)] == [text] * 3


LISTS = parameter("list", values=raw(parameter("list", values=raw(parameter("boolean")))))


@pytest.mark.parametrize(
    ("one", "value", "unquoted"),
    [
        (parameter("integer", multi=True), ["1", 2, "x"], [1, 2, "x"]),
        (parameter("integer", multi=True), "1", "1"),
        (LISTS, [["true"], "true"], [[True], "true"]),
        (parameter("list"), ["1"], ["1"]),
        (parameter("map", values=raw(parameter("integer"))), {"a": "1"}, {"a": "1"}),
        (parameter("json"), "1", "1"),
        (parameter("string"), "1", "1"),
        (parameter("boolean"), True, True),
        (parameter("float"), None, None),
    ],
)
def test_quoted_values_are_read_in_lists_and_nowhere_deeper(one, value, unquoted):
    once = unquote([one], {"p": value, "other": value})

    assert once == {"p": unquoted, "other": value}
    assert unquote([one], once) == once


SCHEMA = (
    parameter("integer", slug="n"),
    parameter("date", slug="day", default="2024-02-29"),
    parameter(slug="note", optional=True),
)


def test_checked_values_are_at_hand_as_json_and_as_python():
    checked = CheckedValues(SCHEMA, {"n": 2.0, "day": None})

    assert checked.json == {"n": 2.0, "day": "2024-02-29"}
    assert exact(checked.python["n"]) == exact(2)
    assert checked.python["day"].isoformat() == "2024-02-29"
    assert checked.python["note"] is None


def test_checked_values_fit_the_parameters_of_the_check():
    checked = CheckedValues(SCHEMA, {"n": 1})
    changed = Parameter(slug="n", type="integer", constraints=Constraints(options=[1]))

    assert checked.fit(iter(SCHEMA))
    assert not checked.fit(SCHEMA[:2])
    assert not checked.fit((changed, *SCHEMA[1:]))


def test_values_checked_one_by_one_are_joined():
    parts = [CheckedValues([one], {one.slug: value}) for one, value in zip(SCHEMA, (1, None, "a"), strict=True)]
    whole, joined = CheckedValues(SCHEMA, {"n": 1, "note": "a"}), CheckedValues.joined(parts)

    assert joined.fit(SCHEMA)
    assert (joined.python, joined.json) == (whole.python, whole.json)


def test_values_that_do_not_fit_cannot_become_checked_values():
    with pytest.raises(MissingParameter):
        CheckedValues(SCHEMA, {})
    with pytest.raises(ValueProblem, match="too much work"):
        CheckedValues([parameter(regex="(?<=a)b")], {"p": "c"})


def test_a_reader_without_constraints_still_holds_to_types():
    reader = ValueReader(constraints=False)

    assert reader.read(parameter(options=["a"], regex="a"), "b") == "b"
    with pytest.raises(ValueProblem, match="expected a string, got a number"):
        reader.read(parameter(options=["a"]), 1)


def test_the_repr_of_a_config_variable_hides_its_value():
    assert repr(ConfigVar("dsn", "hush")) == "ConfigVar('dsn')"
