"""Options and regexes: the values that they allow, and those that only the server can judge."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from airplane_runbooks import ConfigVar, Upload
from airplane_runbooks.schema.problems import ValueProblem
from airplane_runbooks.schema.reading import ValueReader
from airplane_runbooks.schema.types.plain import StringType
from tests.support.schemas import (
    CONFIG_VAR,
    NOON,
    UPLOAD,
    parameter,
    read,
    refusal,
)


@pytest.mark.parametrize(
    ("kind", "options", "good", "bad"),
    [
        ("string", [{"label": "A", "value": "a"}, "b"], ["a", "b"], ["A", "ab", ""]),
        ("integer", [1, {"label": "2", "value": 2.0}], [1, 2, 1.0], [3, 0]),
        ("float", [1, 0.5], [1, 1.0, 0.5], [0.25]),
        ("date", ["2024-02-29"], [date(2024, 2, 29), "2024-02-29T05:00:00+05:00"], ["2024-03-01"]),
        ("datetime", ["2024-02-29T12:00:00Z"], [NOON, "2024-02-29T13:00:00+01:00"], ["2024-02-29T12:00:01Z"]),
        ("configvar", ["db", CONFIG_VAR], ["db", ConfigVar("db"), CONFIG_VAR], [ConfigVar("other")]),
        ("upload", ["upl1"], [Upload("upl1"), UPLOAD], ["upl2"]),
        ("json", [1, {"label": "", "value": {"b": [True], "a": 0}}], [1, {"a": 0, "b": [True]}], [1.0, True, {}, {"a": 0, "b": [1]}]),  # noqa: E501
        ("any", [1, None], [1, None], ["None"]),
        ("boolean", [True], [True], [False]),
    ],
)  # fmt: skip
def test_options_are_compared_as_values_of_the_type(kind, options, good, bad):
    one = parameter(kind, options=options)

    for value in good:
        assert read(one, value) == read(parameter(kind), value)
        assert read(msgspec.structs.replace(one, multi=True), [value]) == [read(one, value)]
    for value in bad:
        assert refusal(one, p=value) == "values.p: the value is not among the options"
        assert refusal(msgspec.structs.replace(one, multi=True), p=[good[0], value]).startswith("values.p[1]: ")


@pytest.mark.parametrize(
    "options",
    [
        5,
        True,
        "a",
        {},
        [],
        {"slug": "list_sizes", "params": {}},
        [{"label": "A"}],
        ["b", {"__airplaneType": "template", "raw": "{{x}}"}],
        [{"label": "A", "value": {"__airplaneType": "template", "raw": "{{x}}"}}],
        [1, [2]],
    ],
)
def test_options_that_only_the_server_knows_are_left_to_it(options):
    assert read(parameter(options=options), "a") == "a"


def test_the_options_of_a_list_are_read_once(monkeypatch):
    seen = []
    convert = StringType.convert
    monkeypatch.setattr(StringType, "convert", lambda kind, value: seen.append(value) or convert(kind, value))

    assert read(parameter(multi=True, options=["a", "b"]), ["b"] * 10) == ["b"] * 10
    assert seen.count("a") == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", "abc"), ("configvar", "abc"), ("configvar", ConfigVar("abc")), ("json", "abc")],
)
def test_a_regex_matches_the_whole_text_or_name(kind, value):
    assert read(parameter(kind, regex="[a-c]+"), value) == read(parameter(kind), value)
    for regex in ("[a-c]", "^bc$", "abc."):
        assert refusal(parameter(kind, regex=regex), p=value) == f"values.p: the value does not match {regex}"


def test_a_regex_is_for_each_element_and_for_text_only():
    assert refusal(parameter(multi=True, regex="a"), p=["a", "b"]).startswith("values.p[1]: the value does not match")
    assert read(parameter("integer", regex="a"), 1) == 1


def test_a_regex_that_only_the_server_knows_is_left_to_it():
    assert read(parameter(regex="(?<=a)b"), "c") == "c"
    with pytest.raises(ValueProblem, match="too much work"):
        ValueReader(strict=True).read(parameter(regex="(?<=a)b"), "c")


@pytest.mark.timeout(60)
def test_a_regex_cannot_make_validation_hang():
    assert refusal(parameter(regex="(a+)+$"), p="a" * 50_000 + "!").startswith("values.p: the value does not match")
