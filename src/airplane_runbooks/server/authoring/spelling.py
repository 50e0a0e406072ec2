"""Scalars that arrive as text: what JSON would say without the quotes, if nothing of it is lost. Pure.

The API's own example sends `"20"` for a number, and its generated client has nothing but strings to send.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ...models import ParameterType
from ...schema.scalars import Misfit, read_scalar

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?P<rest>(\.[0-9]+)?([eE][+-]?[0-9]+)?)")
_LONGEST = 4_300  # characters, as for integers in JSON
_FLAGS = {"true": True, "false": False}


def unspelled(kind: ParameterType, text: str) -> Any:
    """Return the number or flag that a text spells as JSON does; the text itself if it spells none of this type."""
    if (reader := _READERS.get(kind)) is None:
        return text
    try:
        return read_scalar(kind, reader(text))
    except (ValueError, Misfit):
        return text


def exact_float(text: str) -> float:
    """Return the float that a decimal number says. Raises ValueError if it says more than the float keeps.

    A float may be written in full, in as few digits as tell it from others, or in the 17 that always do.
    """
    number = float(text)
    try:
        said = Decimal(text)
    except ArithmeticError:  # an exponent that not even Decimal knows
        raise ValueError from None
    if said not in (Decimal(number), Decimal(repr(number)), Decimal(f"{number:.17g}")):
        raise ValueError
    return number


def _number(text: str) -> int | float:
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        raise ValueError
    return exact_float(text) if found["rest"] or text == "-0" else int(text)  # no integer has a sign of its zero


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise ValueError
    return _FLAGS[text]


_READERS: Mapping[ParameterType, Callable[[str], Any]] = {
    ParameterType.BOOLEAN: _flag,
    ParameterType.INTEGER: _number,
    ParameterType.FLOAT: _number,
}
