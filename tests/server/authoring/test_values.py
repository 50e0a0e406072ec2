"""Parameter values that the client leaves to the server to judge."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import pytest

from airplane_runbooks.schema.regex import matcher
from airplane_runbooks.server import Field
from airplane_runbooks.server.authoring.fields import enum_converter, parameter
from airplane_runbooks.server.authoring.values import check, convert, read
from airplane_runbooks.server.errors import Invalid


@pytest.mark.parametrize("regex", ["(", "(?=a)b", r"\Z", "[[:alpha:]]", "a{2000}", "a" * 10_000])
def test_an_undecidable_regex_is_refused_at_definition(regex):
    with pytest.raises(ValueError, match="p: this regex is not supported"):
        parameter("p", Field(str, regex=regex))


def test_a_value_that_takes_too_much_work_is_refused(monkeypatch):
    code = parameter("p", Field(str, regex="[a-z]+"))
    monkeypatch.setattr(matcher, "MAX_WORK", 20)

    assert read(code, "abc", "p") == "abc"
    with pytest.raises(Invalid, match="p: the value takes too much work to match"):
        read(code, "abcdefghijklmnopqrstuvwxyz", "p")


@pytest.mark.timeout(20)
def test_a_value_cannot_make_the_server_hang():
    with pytest.raises(Invalid, match="does not match"):
        read(parameter("p", Field(str, regex="(a+)+$")), "a" * 50_000 + "!", "p")


@pytest.mark.parametrize("kind", [Field(str, options=["a", 1]), Field(list[str], options=["a", 1])])
def test_options_of_another_type_are_refused_at_definition(kind):
    with pytest.raises(ValueError, match="expected a string"):
        parameter("p", kind)


@pytest.mark.parametrize(
    ("values", "code"),
    [({"q": "a"}, "unknown_parameter"), ({}, "missing_parameter"), ({"p": 1}, "invalid_parameter")],
)
def test_each_refusal_has_a_code_for_machines(values, code):
    with pytest.raises(Invalid) as refused:
        check([parameter("p", str)], values, "values")

    assert refused.value.code == code


def test_a_refusal_is_short_even_for_a_long_key():
    with pytest.raises(Invalid) as refused:
        read(parameter("p", dict[str, int]), {"k" * 100_000: "a"}, "p")

    assert refused.value.message == "p." + "k" * 99 + ": expected an integer, got a string"


def test_a_value_nested_too_deeply_is_refused():
    value = [1]
    for _ in range(100_000):
        value = [value]

    assert read(parameter("p", Any), value, "p") is value
    # from Python 3.14 on, the size of the stack decides how deeply values are compared
    with pytest.raises(Invalid, match=r"p: (nested too deeply|the value is not among the options)"):
        read(parameter("p", Annotated[Any, Field(options=[[1]])]), value, "p")


class Level(Enum):
    LOW = "low"


def as_given(upload):
    return upload


def test_a_stored_value_keeps_its_type_but_no_new_constraint():
    changed = parameter("p", Field(str, regex="[0-9]+", options=["1"]))
    as_it_is = {"p": enum_converter(str)}

    assert convert([changed], {"p": "accepted before"}, "values", as_it_is, as_given) == {"p": "accepted before"}
    with pytest.raises(Invalid, match=r"^values\.p: expected a string, got a number$"):
        convert([changed], {"p": 1}, "values", as_it_is, as_given)


def test_a_stored_value_that_an_enum_has_lost_is_refused():
    converters = {"p": enum_converter(Level)}

    assert convert([parameter("p", Level)], {"p": "low"}, "values", converters, as_given) == {"p": Level.LOW}
    with pytest.raises(Invalid, match=r"^values\.p: the value is not among the options$"):
        convert([parameter("p", Level)], {"p": "high"}, "values", converters, as_given)


def test_checked_values_are_checked_again_for_other_parameters():
    letters, digits = parameter("p", Field(str, regex="[a-z]+")), parameter("p", Field(str, regex="[0-9]+"))
    checked = check([letters], {"p": "a"}, "values")

    assert check([letters], checked, "values") is checked
    with pytest.raises(Invalid, match="does not match"):
        check([digits], checked, "values")
