"""Values of parameters from the command line: typed by the schema, or refused by the name of the parameter."""

from __future__ import annotations

import io

import pytest

from airplane_runbooks import ParameterSchema, ParamValueError
from airplane_runbooks.cli.values import read_file, read_values
from airplane_runbooks.models import Constraints, Parameter, ParameterType


def schema(*parameters):
    return ParameterSchema(parameters=parameters)


def parameter(slug, type, *, optional=True, **fields):
    constraints = Constraints(optional=optional, options=fields.pop("options", None))
    return Parameter(slug=slug, type=ParameterType(type), constraints=constraints, **fields)


TYPED = [
    ("string", "12", "12"),
    ("string", " a=b ", " a=b "),
    ("integer", "12", 12),
    ("float", "2.5", 2.5),
    ("boolean", "true", True),
    ("boolean", "no", False),
    ("date", "2026-01-31", "2026-01-31"),
    ("datetime", "2026-01-31T10:00", "2026-01-31T10:00:00Z"),
    ("configvar", "token", "token"),
    ("json", '{"a": [1]}', {"a": [1]}),
    ("any", "null", None),
    ("list", "[1, 2]", [1, 2]),
    ("map", '{"a": 1}', {"a": 1}),
    ("invented-later", "3", 3),
]


@pytest.mark.parametrize(("type", "text", "value"), TYPED)
def test_a_value_is_typed_by_the_schema(type, text, value):
    assert read_values(schema(parameter("x", type)), [f"x={text}"], {}, "params") == {"x": value}


REFUSED = [
    ("integer", "twelve", "enter a whole number, such as 42"),
    ("boolean", "maybe", "enter yes or no"),
    ("date", "tomorrow", "enter a date, such as 2024-01-31"),
    ("list", "1, 2", "write the value as JSON"),
    ("json", "\udcff", "write the value as JSON"),
]


@pytest.mark.parametrize(("type", "text", "message"), REFUSED)
def test_a_text_that_is_not_a_value_names_its_parameter(type, text, message):
    with pytest.raises(ParamValueError) as caught:
        read_values(schema(parameter("x", type)), [f"x={text}"], {}, "params")

    assert str(caught.value) == f"params.x: {message}"


@pytest.mark.parametrize("pairs", [["x=1", "x=2", "x=3"], ["x=[1,2]", "x=3"], ["x=[1, 2, 3]"]])
def test_a_repeated_parameter_makes_a_list(pairs):
    numbers = schema(parameter("x", "integer", multi=True))

    assert read_values(numbers, pairs, {}, "params") == {"x": [1, 2, 3]}


def test_a_list_of_objects_is_written_as_json():
    objects = schema(parameter("x", "object", multi=True))

    assert read_values(objects, ['x=[{"a": 1}]'], {}, "params") == {"x": [{"a": 1}]}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["x=1", "x=2"], "params.x: is given twice"),
        (["y=1"], "params.y: there is no such parameter; there are: x"),
        (["x"], "params: write 'x' as PARAMETER=VALUE"),
        (["=1"], "params: write '=1' as PARAMETER=VALUE"),
        ([], "params.x: a value is required"),
        (["x=3"], "params.x: the value is not among the options"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(pairs, message):
    with pytest.raises(ParamValueError) as caught:
        read_values(schema(parameter("x", "integer", optional=False, options=[1, 2])), pairs, {}, "params")

    assert str(caught.value) == message


def test_a_pair_takes_precedence_over_the_file():
    both = schema(parameter("x", "integer"), parameter("y", "string"))

    assert read_values(both, ["x=1"], {"x": 5, "y": "file"}, "params") == {"x": 1, "y": "file"}


def test_values_without_a_schema_are_sent_as_texts():
    assert read_values(None, ["x=1"], {"y": 2}, "params") == {"x": "1", "y": 2}


def test_a_path_without_its_sign_is_refused():
    file = schema(parameter("file", "upload"))
    with pytest.raises(ParamValueError, match=r"^params\.file: write a file as @PATH, or the ID of an upload$"):
        read_values(file, ["file=x.csv"], {}, "params")
    for text in ("@x.csv", "upl20260101abc"):
        assert read_values(file, [f"file={text}"], {}, "params") == {"file": text}


@pytest.mark.parametrize("text", ["[1]", "{", "\udcff"])
def test_a_file_that_holds_no_object_is_refused(text):
    with pytest.raises(ParamValueError, match=r"^--params-file: is not a JSON object"):
        read_file(io.StringIO(text), "--params-file")


def test_values_that_are_nested_too_deeply_are_refused():
    deep = "[" * 100_000
    with pytest.raises(ParamValueError, match=r"^--params-file: is nested too deeply"):
        read_file(io.StringIO(f'{{"x": {deep}'), "--params-file")
    with pytest.raises(ParamValueError, match=r"^params\.x: write the value as JSON"):
        read_values(schema(parameter("x", "json")), [f"x={deep}"], {}, "params")


@pytest.mark.parametrize(("text", "flag"), [("y", True), ("YES", True), ("n", False), ("No", False)])
def test_a_flag_may_be_written_by_its_first_letter(text, flag):
    assert read_values(schema(parameter("x", "boolean")), [f"x={text}"], {}, "params") == {"x": flag}
