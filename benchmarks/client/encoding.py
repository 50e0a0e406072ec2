"""Parameter values, checked and encoded: each factory returns a function that encodes them once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import date
from typing import Any

import msgspec

from airplane_runbooks.schema.encoding import encode_params

from .canned import Endpoint
from .contenders import Call

KINDS: tuple[Any, ...] = (
    "inv_1042",
    7,
    12.5,
    True,
    None,
    date(2022, 1, 20),
    [1, "two", 3.0],
    {"name": "ada", "on": False},
)
SIZES = (10, 1000, 100_000)


def values(size: int) -> dict[str, Any]:
    """Return so many entries of all kinds in turn, as decoded JSON would be: no list or dict is there twice."""
    return {f"entry{number}": copy(KINDS[number % len(KINDS)]) for number in range(size)}


def by_msgspec(size: int) -> Callable[[Endpoint], Call]:
    """Return the factory of what encodes without a check."""

    def make(_: Endpoint) -> Call:
        entries, encode = values(size), msgspec.json.Encoder().encode
        return lambda: encode(entries)

    return make


def ours(size: int) -> Callable[[Endpoint], Call]:
    """Return the factory of what the client does with `param_values`."""

    def make(_: Endpoint) -> Call:
        entries = values(size)
        return lambda: encode_params(entries)

    return make
