"""Values of `param_values` arrive as they are, or are refused with their exact path."""

from __future__ import annotations

import dataclasses
import json
import math
import uuid
from collections import ChainMap, OrderedDict, UserDict, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airplane_runbooks import ConfigVar, ParamValueError, Upload
from airplane_runbooks.models import Constraints
from airplane_runbooks.schema.encoding import MAX_PARAM_DEPTH, encode_params, plain_form

LARGEST = 10**4299 - 1  # msgspec reads no number of more than 4300 characters, its sign included


class Name(str):
    """A string that shows itself differently."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not the value"


class Count(int):
    def __repr__(self) -> str:
        return "not the value"

    __str__ = __repr__


class Share(float):
    def __repr__(self) -> str:
        return "not the value"

    __str__ = __repr__


class Colour(StrEnum):
    RED = "red"


class Size(str, Enum):  # noqa: UP042
    SMALL = "s"


class Level(IntEnum):
    HIGH = 3


class Day(Enum):
    FIRST = date(2024, 2, 29)
    PAIR = (1, "two")
    NOTHING = None


class Point(NamedTuple):
    x: int
    y: int


class Frozen(Mapping[str, Any]):
    """A mapping that is not a dict."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class Summer(tzinfo):
    """A zone that is an hour ahead in the second half of each year, and has one hour twice when that ends."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        ahead = moment is not None and moment.month > 6 and not (moment.month == 12 and moment.fold)
        return timedelta(hours=2 if ahead else 1)

    def dst(self, moment: datetime | None) -> timedelta:
        return self.utcoffset(moment) - timedelta(hours=1)


def in_range(moment: datetime) -> bool:
    """Tell whether a datetime exists in UTC, too."""
    offset = moment.utcoffset()
    naive = moment.replace(tzinfo=None)
    first, last = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
    return not offset or (naive - first >= offset and last - naive >= -offset)


def same(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Return pairs of a value and what is expected on the other side: the value."""
    return values.map(lambda value: (value, value))


texts = st.text() | st.text(st.characters(max_codepoint=0x1F)) | st.text(st.characters(min_codepoint=0x10000))
keys = texts | st.sampled_from(["id", "rows", "two words", "naïve", "0", "a.b", "'", "日本", "__airplaneType"])
integers = st.integers() | st.integers(-(2**4096), 2**4096) | st.sampled_from([2**63, -(2**63) - 1, 2**64, LARGEST])
floats = st.floats(allow_nan=False, allow_infinity=False)
plain_leaves = st.none() | st.booleans() | integers | floats | texts
plain = st.recursive(
    plain_leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)

offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59, seconds=59))
zones = st.just(UTC) | st.just(Summer()) | offsets.map(timezone)
moments = st.datetimes(timezones=zones).filter(in_range)

leaves = (
    same(plain_leaves)
    | st.dates().map(lambda day: (day, f"{day.year:04}-{day.month:02}-{day.day:02}"))
    | moments.map(lambda at: (at, (at.replace(tzinfo=None) - at.utcoffset()).isoformat() + "Z"))
    | texts.map(lambda name: (ConfigVar(name), {"__airplaneType": "configvar", "name": name}))
    | texts.map(lambda upload: (Upload(upload), upload))
    | texts.map(lambda text: (Name(text), text))
    | integers.map(lambda number: (Count(number), number))
    | floats.map(lambda number: (Share(number), number))
    | st.sampled_from([(Colour.RED, "red"), (Size.SMALL, "s"), (Level.HIGH, 3), (Day.NOTHING, None)])
    | st.sampled_from([(Day.FIRST, "2024-02-29"), (Day.PAIR, [1, "two"]), (Point(1, 2), [1, 2])])
)
mapping_types = st.sampled_from([dict, OrderedDict, UserDict, ChainMap, MappingProxyType, Frozen])


def arrays_of(pairs: list[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    values, expected = [value for value, _ in pairs], [other for _, other in pairs]
    return st.sampled_from([list, tuple]).map(lambda kind: (kind(values), expected))


def objects_of(pairs: dict[str, tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    values = {key: value for key, (value, _) in pairs.items()}
    expected = {key: other for key, (_, other) in pairs.items()}
    return mapping_types.map(lambda kind: (kind(values), expected))


def containers_of(pairs: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.lists(pairs, max_size=4).flatmap(arrays_of) | st.dictionaries(keys, pairs, max_size=4).flatmap(objects_of)


everything = st.recursive(leaves, containers_of, max_leaves=12)


def canonical(value: Any) -> str:
    """Return a text that two JSON values share only if they agree to the type and to the sign of zero."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{canonical(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return f"{type(value).__name__} {value!r}"


@given(st.dictionaries(keys, everything, max_size=5).flatmap(objects_of))
def test_a_server_decodes_the_values_that_went_in(pair):
    values, expected = pair

    body = encode_params(values)

    assert canonical(json.loads(body)) == canonical(expected)
    assert canonical(msgspec.json.decode(body)) == canonical(expected)


@given(st.dictionaries(keys, plain, max_size=5))
def test_the_fast_path_and_the_walk_write_the_same(values):
    assert encode_params(values) == encode_params(MappingProxyType(values)) == msgspec.json.encode(values)


@pytest.mark.parametrize("leaf", [1, "a", 0.5, None, {}, []])
def test_plain_values_are_recognised_to_the_last_level(leaf):
    levels = MAX_PARAM_DEPTH - isinstance(leaf, list | dict)
    value = leaf
    for _ in range(levels):
        value = [value]

    assert plain_form({"deep": value}) is not None
    assert plain_form({"deep": [value]}) is None


@dataclasses.dataclass
class Row:
    id: int = 1


def endless() -> list[Any]:
    rows: list[Any] = []
    rows.append(rows)
    return rows


def ring() -> dict[str, Any]:
    outer: dict[str, Any] = {"inner": (Frozen({}), [])}
    outer["inner"][1].append(outer)
    return outer


def twins() -> list[Any]:
    rows: list[Any] = []
    rows += [rows, rows]
    return rows


class Twice(Frozen):
    """A mapping, such as of a form's fields, that has a key twice."""

    def items(self) -> Any:
        return [*self._items.items(), *self._items.items()]


EARLY = datetime(1, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
LATE = datetime(9999, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1)))

# What is refused, and where below its own place.
UNSENDABLE: list[tuple[Any, str]] = [
    (math.nan, ""),
    (math.inf, ""),
    (-math.inf, ""),
    (Share("nan"), ""),
    (10**4300, ""),
    (-(10**4300), ""),
    (Count(10**4300), ""),
    (datetime(2024, 1, 1), ""),  # noqa: DTZ001
    (EARLY, ""),
    (LATE, ""),
    (time(1, 2), ""),
    (timedelta(1), ""),
    (b"bytes", ""),
    (bytearray(b"bytes"), ""),
    (memoryview(b"bytes"), ""),
    ({1}, ""),
    (frozenset({1}), ""),
    (deque([1]), ""),
    (range(3), ""),
    (iter([1]), ""),
    (Decimal(1), ""),
    (Fraction(1), ""),
    (1j, ""),
    (uuid.UUID(int=1), ""),
    (Row(), ""),
    (Row, ""),
    (Constraints(), ""),
    (msgspec.UNSET, ""),
    (msgspec.Raw(b"1"), ""),
    (object(), ""),
    (..., ""),
    (len, ""),
    (Enum("Odd", {"ONE": b"1"}).ONE, ""),
    ("\ud800", ""),
    ("text\udfff", ""),
    (Name("\ud800"), ""),
    (ConfigVar("\ud800"), ""),
    (ConfigVar(1), ""),
    (Upload("\ud800"), ""),
    (Upload(None), ""),
    ({1: "a"}, ""),
    ({None: "a"}, ""),
    ({b"a": "a"}, ""),
    ({("a",): "a"}, ""),
    ({Level.HIGH: "a"}, ""),
    ({date(2024, 1, 1): "a"}, ""),
    ({"a": 1, 1.5: "a"}, ""),
    ({"\ud800": 1}, ""),
    ({Name("\ud800"): 1}, ""),
    (Twice({"a": 1}), ""),
    (endless(), "[0]"),
    (twins(), "[0]"),
    (ring(), ".inner[1][0]"),
]


def step(key: str) -> str:
    """Write a key as a step of a path."""
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


@st.composite
def buried(draw: st.DrawFn, what: Any) -> tuple[Any, str]:
    """Put a value into a random structure of good ones, and tell where."""
    value, path = what, ""
    for _ in range(draw(st.integers(0, 4))):
        value, here = draw(beside(value))
        path = here + path
    key = draw(keys)
    others = draw(st.dictionaries(keys.filter(lambda other: other != key), everything.map(good), max_size=3))
    items = draw(st.permutations([*others.items(), (key, value)]))
    return draw(mapping_types)(dict(items)), "param_values" + step(key) + path


@st.composite
def beside(draw: st.DrawFn, value: Any) -> tuple[Any, str]:
    """Put a value between good ones, in a list or under a key."""
    if draw(st.booleans()):
        before, after = draw(st.lists(everything.map(good), max_size=2)), draw(st.lists(plain, max_size=2))
        return draw(st.sampled_from([list, tuple]))([*before, value, *after]), f"[{len(before)}]"
    key = draw(keys)
    others = draw(st.dictionaries(keys.filter(lambda other: other != key), everything.map(good), max_size=2))
    items = draw(st.permutations([*others.items(), (key, value)]))
    return draw(mapping_types)(dict(items)), step(key)


def good(pair: tuple[Any, Any]) -> Any:
    return pair[0]


@given(st.data(), st.sampled_from(UNSENDABLE))
def test_an_unsendable_value_is_refused_with_its_exact_path(data, unsendable):
    bad, below = unsendable
    values, path = data.draw(buried(bad))

    with pytest.raises(ParamValueError) as refused:
        encode_params(values)

    assert refused.value.path == path + below
    assert str(refused.value).startswith(f"{path}{below}: ")


@pytest.mark.parametrize(("bad", "below"), UNSENDABLE, ids=lambda value: type(value).__name__)
def test_each_unsendable_value_is_refused_in_a_plain_dict(bad, below):
    with pytest.raises(ParamValueError) as refused:
        encode_params({"plain": [1, "a"], "share": 0.5, "bad": bad})

    assert refused.value.path == f"param_values.bad{below}"


@given(st.integers(0, 3 * MAX_PARAM_DEPTH), st.integers(0, 5), st.booleans())
@example(levels=MAX_PARAM_DEPTH, breadth=1, walked=False)
@example(levels=MAX_PARAM_DEPTH, breadth=1, walked=True)
@example(levels=MAX_PARAM_DEPTH + 1, breadth=1, walked=False)
@example(levels=MAX_PARAM_DEPTH + 1, breadth=1, walked=True)
def test_values_are_at_most_a_hundred_levels_deep(levels, breadth, walked):
    value: Any = "leaf"
    for _ in range(levels):
        value = [*range(breadth), value]
    values = {"deep": value, "wide": [[1.5], {"a": None}]}
    if walked:
        values["day"] = date(2024, 1, 1)

    if levels <= MAX_PARAM_DEPTH:
        decoded = json.loads(encode_params(values))["deep"]
        for _ in range(levels):
            assert decoded[:-1] == list(range(breadth))
            decoded = decoded[-1]
        assert decoded == "leaf"
    else:
        with pytest.raises(ParamValueError, match="more than 100 levels") as refused:
            encode_params(values)
        assert refused.value.path == "param_values.deep" + f"[{breadth}]" * MAX_PARAM_DEPTH
