"""Integers and floats: exact, or refused."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import Any

from ..enums import ParameterType
from ..parameters import ParameterLike
from ..problems import NotEncodable, UnreadableText, ValueProblem
from .base import Scalar, register

_FIRST_INEXACT = 2**53  # from here on, one float stands for several integers
_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_IN_JSON = re.compile(r"-?(0|[1-9][0-9]*)(?P<rest>(\.[0-9]+)?([eE][+-]?[0-9]+)?)")
_LONGEST = 4_300  # characters, as for integers in JSON


class Number(Scalar):
    """Base of both kinds."""

    def unquote(self, value: Any, parameter: ParameterLike) -> Any:
        """Return the number that a string spells as JSON does, if nothing of it is lost.

        The API's own example sends `"20"` for a number, and its generated client has nothing but strings to send.
        """
        del parameter
        if not isinstance(value, str):
            return value
        try:
            return self.read_scalar(_spelled(value))
        except (ValueError, ValueProblem):
            return value


@register
class IntegerType(Number):
    """A whole number of any size."""

    name = ParameterType.INTEGER
    python = int
    wanted = "an integer"
    enum_members = "integers"
    hint = "A whole number."
    instruction = "Enter a whole number, such as 42."

    def encode(self, value: Any) -> Any:
        """Return the number. Raises NotEncodable if Python would not write it out."""
        number = int.__int__(value)
        if number.bit_length() > 64:
            try:
                int.__repr__(number)
            except ValueError:
                raise NotEncodable("is an integer of too many digits") from None
        return number

    def convert(self, value: Any) -> Any:
        """Return the number: JSON has one kind, and some encoders write 2.0 where others write 2."""
        number = int(_number(value))
        if number != value or (isinstance(value, float) and abs(value) >= _FIRST_INEXACT):
            raise ValueError
        return number

    def convert_text(self, text: str) -> Any:
        """Return the number that people have typed."""
        if not _WHOLE.fullmatch(text.strip()):
            raise ValueError
        return int(text)

    def show(self, value: Any) -> str | None:
        """Return the digits."""
        return str(int(value))


@register
class FloatType(Number):
    """A number that a float holds."""

    name = ParameterType.FLOAT
    python = float
    wanted = "a number"
    enum_members = "floats"
    hint = "A number."
    instruction = "Enter a number, such as 2.5."

    def encode(self, value: Any) -> Any:
        """Return the number. Raises NotEncodable for NaN and infinities."""
        if not isfinite(value):
            raise NotEncodable(f"{value!r} has no form in JSON")
        return float.__float__(value)

    def convert(self, value: Any) -> Any:
        """Return the number."""
        number = float(_number(value))
        if number != value:
            raise ValueProblem("the number has more digits than a float holds")
        return number

    def convert_text(self, text: str) -> Any:
        """Return the number that people have typed."""
        text = text.strip()
        if not _DECIMAL.fullmatch(text) or not isfinite(float(text)):
            raise ValueError
        try:
            return _exact_float(text)
        except ValueError:
            raise UnreadableText("This number has more digits than can be kept.") from None


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _spelled(text: str) -> int | float:
    found = _IN_JSON.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        raise ValueError
    return _exact_float(text) if found["rest"] or text == "-0" else int(text)  # integers have no sign of their zero


def _exact_float(text: str) -> float:
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
