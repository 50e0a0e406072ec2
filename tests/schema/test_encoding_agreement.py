"""The fast path of `encode_params` and its walk agree on every value, those of hostile types included."""

from __future__ import annotations

import math
from collections import ChainMap, OrderedDict, UserDict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airplane_runbooks import ParamValueError
from airplane_runbooks.schema.encoding import encode_params, plain_form, to_json
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
    assert plain_form(values) is values
    assert outcome(encode_params, values) == outcome(walked, values)


fixed_offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(timezone)
zoned_times = st.datetimes(timezones=fixed_offsets | st.timezones(), allow_imaginary=True)
zoned_leaves = dated_leaves | zoned_times.flatmap(lambda at: st.sampled_from([at, at.replace(fold=1)]))


@settings(max_examples=50)
@given(
    st.dictionaries(
        keys,
        st.recursive(
            zoned_leaves,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
            max_leaves=6,
        ),
        max_size=20,
    )
)
@example({"at": datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=ZoneInfo("Europe/Berlin"))})
@example({"at": datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))})
@example({"at": datetime(2024, 3, 31, 2, 30, 0, 1, tzinfo=ZoneInfo("Europe/Berlin"))})
@example({"at": [(datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), {"b": datetime(2024, 1, 1, tzinfo=UTC)})]})
@example({"at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))})
@example({"at": datetime.min.replace(tzinfo=timezone(timedelta(microseconds=1)))})
def test_times_in_other_zones_are_written_as_by_the_walk(values):
    assert outcome(encode_params, values) == outcome(walked, values)


class Zone(tzinfo):
    """A zone that does as it pleases."""

    def __init__(self, offset: Any) -> None:
        self._offset = offset

    def utcoffset(self, _: datetime | None) -> Any:
        if isinstance(self._offset, Exception):
            raise self._offset
        return self._offset

    def dst(self, _: datetime | None) -> None:
        return None


@pytest.mark.parametrize("offset", [None, timedelta(hours=2), KeyError("no such zone"), 2], ids=repr)
def test_a_zone_of_the_users_own_is_asked_as_by_the_walk(offset):
    def ended(encode: Callable[[Any], bytes]) -> Any:
        try:
            return outcome(encode, {"at": [datetime(2024, 1, 1, 12, tzinfo=Zone(offset))]})
        except Exception as raised:  # noqa: BLE001  # which one it is, is compared
            return repr(raised)

    assert ended(encode_params) == ended(walked)


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=2)), ZoneInfo("Europe/Berlin"), Zone(timedelta(hours=2))])
def test_times_in_other_zones_need_no_walk(zone):
    given = {"at": datetime(2024, 7, 1, 12, tzinfo=zone), "rest": [1.5, "a", {"b": (None,)}]}
    expected = {"at": datetime(2024, 7, 1, 10, tzinfo=UTC), "rest": [1.5, "a", {"b": [None]}]}

    assert plain_form(given) == expected
    assert given["at"].tzinfo is zone


def test_a_time_without_a_zone_is_named():
    with pytest.raises(ParamValueError, match=r"param_values.rest\[0\]"):
        encode_params({"at": datetime(2024, 7, 1, tzinfo=timezone(timedelta(1, -1))), "rest": [datetime(2024, 1, 1)]})  # noqa: DTZ001


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
