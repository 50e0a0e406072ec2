"""Outputs read as types: each mismatch names its path, and a masked secret where it is the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, TypedDict
from uuid import UUID

import msgspec
import pytest

from airplane_runbooks import ConfigurationError
from airplane_runbooks.models.outputs import MASK, output_reader


class Kind(StrEnum):
    FULL = "full"


class Line(msgspec.Struct):
    cents: int
    note: str = ""


class Invoice(msgspec.Struct, rename="camel"):
    invoice_id: str
    lines: list[Line] = []
    rates: dict[str, Decimal] = {}


@dataclass
class Receipt:
    day: date
    kind: Kind


class Total(TypedDict):
    cents: int


def read(kind: Any, output: Any) -> Any:
    return output_reader(kind)(msgspec.json.encode(output))


@pytest.mark.parametrize(
    ("output", "kind", "value"),
    [
        ({"invoiceId": "i1", "lines": [{"cents": 5}]}, Invoice, Invoice("i1", [Line(5)])),
        ({"invoiceId": "i1", "rates": {"eur": 1.1}}, Invoice, Invoice("i1", rates={"eur": Decimal("1.1")})),
        ({"day": "2026-01-31", "kind": "full"}, Receipt, Receipt(date(2026, 1, 31), Kind.FULL)),
        ({"cents": 5}, Total, {"cents": 5}),
        ("a", str, "a"),
        (None, type(None), None),
        (None, int | None, None),
        ({"1": [1]}, dict[int, tuple[int, ...]], {1: (1,)}),
        ("yes", Literal["yes", "no"], "yes"),
        ({"cents": 5}, Line | str, Line(5)),
        ([1, 2], set[int], {1, 2}),
        ({"a": [1.5, None]}, Any, {"a": [1.5, None]}),
        ({"a": [1.5, None]}, object, {"a": [1.5, None]}),
    ],
    ids=repr,
)
def test_an_output_is_read_as_a_type(output, kind, value):
    assert read(kind, output) == value


@pytest.mark.parametrize(
    ("output", "kind", "problem"),
    [
        ("a", int, "Expected `int`, got `str`"),
        (None, str, "Expected `str`, got `null`"),
        ({"lines": []}, Invoice, "Object missing required field `invoiceId`"),
        ({"invoiceId": "i1", "lines": [{"cents": 1}, {"cents": "5"}]}, Invoice, "- at `$.lines[1].cents`"),
        ({"day": "2026-01-31", "kind": "half"}, Receipt, "Invalid enum value 'half' - at `$.kind`"),
        ({"a": "1"}, dict[str, int], "Expected `int`, got `str` - at `$[...]`"),
    ],
    ids=repr,
)
def test_an_output_that_does_not_fit_is_refused_with_its_path(output, kind, problem):
    with pytest.raises(msgspec.ValidationError) as caught:
        read(kind, output)
    assert str(caught.value).endswith(problem)


@pytest.mark.parametrize(
    ("output", "kind", "place"),
    [
        (MASK, int, "got `str`"),
        ({"invoiceId": "i1", "lines": [{"cents": 1}, {"cents": MASK}]}, Invoice, "`$.lines[1].cents`"),
        ({"a": {"b": 1, "c": MASK}}, dict[str, dict[str, int]], "`$[...][...]`"),
        ({"id": f"urn:uuid:{MASK}"}, TypedDict("Named", {"id": UUID}), "`$.id`"),
        ({"a": 1, "a.b": MASK}, TypedDict("Dotted", {"a.b": int}), "`$.a.b`"),
    ],
    ids=repr,
)
def test_a_masked_secret_is_named_as_the_reason(output, kind, place):
    with pytest.raises(msgspec.ValidationError) as caught:
        read(kind, output)
    assert str(caught.value).endswith(f"{place}; a secret is masked there")


def test_a_mask_elsewhere_is_not_blamed():
    with pytest.raises(msgspec.ValidationError) as caught:
        read(list[int | None], [1, "a", MASK])
    assert str(caught.value).endswith("- at `$[1]`")


@pytest.mark.parametrize("kind", ["Invoice", 5, list["Invoice"], {}], ids=repr)
def test_types_that_json_cannot_be_read_into_are_refused(kind):
    with pytest.raises(ConfigurationError, match="a result cannot be read as"):
        output_reader(kind)
