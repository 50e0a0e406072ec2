"""Parameter values that the client leaves to the server to judge."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from airplane_runbooks.schema.regex import matcher
from airplane_runbooks.server import Field
from airplane_runbooks.server.authoring.fields import parameter
from airplane_runbooks.server.authoring.values import check, read
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
