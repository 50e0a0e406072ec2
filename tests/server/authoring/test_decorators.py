from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Optional

import pytest

from airplane_runbooks.models import ParameterType
from airplane_runbooks.server import Context, Field, Runbook, runbook, task
from airplane_runbooks.server.authoring.fields import parameter


def test_a_decorated_function_is_still_a_function():
    @runbook
    def refund(context: Context, customer: str, limit: int = 100) -> str:
        """Refund a customer."""
        return f"{customer} {limit} {context}"

    assert refund("context", "c1", limit=5) == "c1 5 context"
    assert refund.function("context", "c1") == "c1 100 context"
    assert (refund.slug, refund.name, refund.description) == ("refund", "Refund", "Refund a customer.")
    assert refund.__doc__ == "Refund a customer."
    assert repr(refund) == "<Runbook refund>"
    assert [one.slug for one in refund.parameters] == ["customer", "limit"]


def test_the_decorator_gives_names_that_the_function_does_not():
    made = runbook(slug="pay_back", name="Pay back", id="rbk1")(lambda context: None)
    assert (made.slug, made.name, made.id, made.description) == ("pay_back", "Pay back", "rbk1", "")
    assert isinstance(made, Runbook)
    assert task(slug="a_b")(lambda: None).name == "A b"


def test_ids_of_runbooks_are_the_same_on_every_start():
    assert runbook(slug="a")(lambda context: None).id == runbook(slug="a")(lambda context: None).id
    assert runbook(slug="a")(lambda context: None).id != runbook(slug="b")(lambda context: None).id


@pytest.mark.parametrize(
    ("annotation", "type_", "multi"),
    [
        (str, "string", False),
        (bool, "boolean", False),
        (int, "integer", False),
        (float, "float", False),
        (date, "date", False),
        (datetime, "datetime", False),
        (Any, "json", False),
        (dict, "map", False),
        (dict[str, Any], "map", False),
        (list, "json", True),
        (list[int], "integer", True),
        (list[Any], "json", True),
        (list[list[int]], "list", False),
        (list[int | None], "list", False),
        (list[dict[str, str]], "list", False),
        (Literal["a", "b"], "string", False),
        (list[Literal[1, 2]], "integer", True),
        (Annotated[str, "words"], "string", False),
        (Annotated[int, Field(options=[1])], "integer", False),
        (Field(bool), "boolean", False),
    ],
)
def test_annotations_become_parameter_types(annotation, type_, multi):
    made = parameter("p", annotation)
    assert (made.type, made.multi) == (type_, multi)
    assert made.constraints.optional is False


@pytest.mark.parametrize(
    "annotation",
    [
        int | None,
        Optional[int],  # noqa: UP045 - written both ways
        Annotated[int | None, Field()],
        Field(int | None),
        Field(int, optional=True),
    ],
)
def test_none_in_a_union_makes_a_parameter_optional(annotation):
    made = parameter("p", annotation)
    assert (made.type, made.constraints.optional) == (ParameterType.INTEGER, True)


def test_a_field_adds_labels_options_and_defaults():
    made = parameter("size_of_it", Field(str, name="Size", description="How big", default="m", options=["s", "m"]))
    assert (made.name, made.desc, made.default) == ("Size", "How big", "m")
    assert made.constraints.options == [{"label": "s", "value": "s"}, {"label": "m", "value": "m"}]
    assert parameter("size_of_it", str).name == "Size of it"
    assert parameter("p", Annotated[str, "How big"]).desc == "How big"
    assert parameter("p", date, date(2022, 2, 3)).default == "2022-02-03"
    assert parameter("p", datetime, datetime(2022, 2, 3, tzinfo=UTC)).default == "2022-02-03T00:00:00Z"


@pytest.mark.parametrize(
    "annotation",
    [bytes, object, int | str, list[bytes], dict[int, str], Literal[1, "a"], set[int], tuple[int], None, 1, Context],
)
def test_annotations_of_other_types_are_refused(annotation):
    with pytest.raises(TypeError):
        parameter("p", annotation)


@pytest.mark.parametrize(
    "field",
    [
        Field(str, regex="("),
        Field(str, options=[1]),
        Field(int, default="1"),
        Field(int, default=3, options=[1, 2]),
        Field(str, default="a", regex="b"),
        Field(float, default=float("nan")),
        Field(list[int], default=["a"]),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(field):
    with pytest.raises(ValueError):
        parameter("p", field)


def test_a_field_is_neither_nested_nor_for_nested_containers():
    for inner in (Field(str, regex="a"), Annotated[str, "words"]):
        with pytest.raises(TypeError, match="another one"):
            parameter("p", Field(inner))
    with pytest.raises(TypeError, match="options and regex"):
        parameter("p", Field(dict, options=[{}]))


@pytest.mark.parametrize("slug", ["", "1a", "A", "a-b", "a" * 51, "ä", "_a"])
def test_a_slug_that_breaks_the_rule_is_refused(slug):
    with pytest.raises(ValueError, match="is not a slug"):
        runbook(slug=slug)(lambda context: None)
    with pytest.raises(ValueError, match="is not a slug"):
        parameter(slug, str)


async def coroutine(context: Context) -> None:
    """Be refused."""


def generator(context: Context) -> Iterator[int]:
    """Be refused."""
    yield 1


def positional_only(context: Context, value: int, /) -> None:
    """Be refused."""


def variadic(context: Context, *values: int) -> None:
    """Be refused."""


def open_ended(context: Context, **values: int) -> None:
    """Be refused."""


def without_context() -> None:
    """Be refused."""


def with_something_else(customer: str) -> None:
    """Be refused."""


@pytest.mark.parametrize(
    "function",
    [coroutine, generator, positional_only, variadic, open_ended, without_context, with_something_else],
)
def test_signatures_without_a_schema_are_refused(function):
    with pytest.raises(TypeError):
        runbook(function)


@pytest.mark.parametrize("text", ["It's no Python", "x = 1", "def other(): ..."])
def test_a_runbook_whose_file_has_changed_is_known_by_its_code(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n" * 9)

    def source(result):
        names = {}
        exec(compile(f"def book(context):\n    return {result}\n", str(page), "exec", dont_inherit=True), names)
        return runbook(names["book"]).code.source

    assert source(1) == source(1)
    assert source(1) != source(2)
