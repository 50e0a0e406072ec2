"""Strings and booleans."""

from __future__ import annotations

from typing import Any

from ..enums import ParameterType
from ..parameters import ParameterLike
from .base import Scalar, plain_text, register, string, yes_or_no

_SPELLED = {"true": True, "false": False}
_TYPED = {**_SPELLED, "yes": True, "y": True, "no": False, "n": False}


@register
class StringType(Scalar):
    """A text."""

    name = ParameterType.STRING
    python = str
    wanted = "a string"
    is_text = True
    enum_members = "strings"
    empty = ""

    def encode(self, value: Any) -> Any:
        """Return the text. Raises NotEncodable for a lone surrogate."""
        return plain_text(value)

    def convert(self, value: Any) -> Any:
        """Return the text."""
        return string(value)

    def convert_text(self, text: str) -> Any:
        """Return the text, with its spaces."""
        return text

    def text_to_match(self, value: Any) -> str | None:
        """Return the text."""
        return str(value)


@register
class BooleanType(Scalar):
    """True or false."""

    name = ParameterType.BOOLEAN
    python = bool
    wanted = "a boolean"
    enum_members = "bools"
    control = "checkbox"
    instead_of_none = (("Yes", True), ("No", False))
    hint = "Yes or no."
    instruction = "Enter yes or no."

    def convert(self, value: Any) -> Any:
        """Return the flag."""
        if not isinstance(value, bool):
            raise TypeError
        return value

    def convert_text(self, text: str) -> Any:
        """Return the flag that `yes`, `no`, their first letters, `true` or `false` stand for."""
        return _TYPED[text.strip().lower()]

    def unquote(self, value: Any, parameter: ParameterLike) -> Any:
        """Return the flag that `true` or `false` stands for."""
        del parameter
        return _SPELLED.get(value, value) if isinstance(value, str) else value

    def display(self, value: Any) -> str | None:
        """Return a word for the flag."""
        return yes_or_no(value)
