"""The fast path of `encode_params` and its walk agree on every value, those of hostile types included."""

from __future__ import annotations

import math
from collections import ChainMap, OrderedDict, UserDict
from collections.abc import Callable, Iterator
from datetime import UTC, date
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airplane_runbooks import ParamValueError
from airplane_runbooks.schema.encoding import _is_plain, encode_params, to_json
from airplane_runbooks.schema.problems import NotEncodable
from tests.schema.test_encoding_properties import (
    UNSENDABLE,
    Colour,
    Level,
    Name,
    everything,
    good,
    keys,
    plain_leaves,
    zones,
)


def walked(values: Any) -> bytes:
    """Encode with the walk alone."""
    try:
        return msgspec.json.encode(to_json(values))
    except NotEncodable as problem:
        raise problem.below("param_values") from None


def outcome(encode: Callable[[Any], bytes], values: Any) -> Any:
    """Return the bytes, or what the error says."""
    try:
        return encode(values)
    except ParamValueError as refused:
        return str(refused)


dated_leaves = plain_leaves | st.dates() | st.datetimes(timezones=st.just(UTC))


@given(
    st.dictionaries(
        keys,
        st.recursive(
            dated_leaves,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
            max_leaves=6,
        ),
        max_size=20,
    )
)
def test_plain_values_are_recognised_without_a_walk(values):
    assert _is_plain(values)
    assert outcome(encode_params, values) == outcome(walked, values)


class Echo(list[Any]):
    """A list that shows others than it holds."""

    def __iter__(self) -> Iterator[Any]:
        return iter(["echo"])


class Mask(dict[str, Any]):
    """A dict that shows others than it holds."""

    def items(self) -> Any:
        return {"mask": 1}.items()


class Twin(str):
    """A key that equals none but itself, even if the texts are the same."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Wild(Enum):
    RAW = b"bytes"
    SET = frozenset({1})
    DECIMAL = Decimal(1)
    LIST = [date(2024, 1, 1), {"a": None}]


def moved(values: dict[str, Any]) -> OrderedDict[str, Any]:
    """Return a dict whose order is not that of its memory."""
    ordered = OrderedDict(values)
    if ordered:
        ordered.move_to_end(next(iter(ordered)))
    return ordered


def hostile_containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, dicts = st.lists(inner, max_size=3), st.dictionaries(hostile_keys, inner, max_size=3)
    subclasses = lists.map(Echo) | dicts.map(Mask) | dicts.map(moved) | dicts.map(UserDict) | dicts.map(ChainMap)
    hashable = st.lists(st.integers() | st.text(), max_size=3)
    return lists | dicts | lists.map(tuple) | subclasses | hashable.map(set) | hashable.map(frozenset)


hostile_keys = keys | keys.map(Twin) | keys.map(Name) | st.integers() | st.sampled_from([None, b"a", Level.HIGH, 1.5])
hostile_leaves = (
    everything.map(good)
    | st.integers(0, len(UNSENDABLE) - 1).map(lambda number: UNSENDABLE[number][0])
    | st.sampled_from([*Wild, *Level, *Colour, b"", True, 1.0, Decimal(1), 2**63, -0.0])
    | st.datetimes(timezones=zones)
)


@settings(max_examples=30)
@given(st.dictionaries(hostile_keys, st.recursive(hostile_leaves, hostile_containers, max_leaves=8), max_size=20))
@example({"a": Echo([1])})
@example({"a": Mask(a=1)})
@example({"a": {Twin("a"): 1, "a": 2}})
@example({Twin("a"): 1, "a": 2})
@example(dict.fromkeys(map(str, range(30)), b""))
@example({str(n): math.nan for n in range(30)})
@example({**{str(n): n for n in range(30)}, 30: 30.0})
@example({"a": {"b": {1: 1.0}}})
def test_whatever_comes_ends_as_with_the_walk_alone(values):
    assert outcome(encode_params, values) == outcome(walked, values)
