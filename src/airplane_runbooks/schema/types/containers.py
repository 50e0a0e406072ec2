"""Free JSON, and values that are made of the values of other parameters."""

from __future__ import annotations

from typing import Any

from ..enums import ParameterType
from ..parameters import ParameterLike
from ..problems import located, member
from .base import ElementReader, ValueType, array, object_, register, type_of


@register
class AnyType(ValueType):
    """Any JSON."""

    name = ParameterType.ANY


@register
class JsonType(ValueType):
    """Any JSON, for authors who annotate nothing more precise."""

    name = ParameterType.JSON
    name_on_the_wire = ParameterType.ANY  # the Go client fails on a type it has not heard of
    python = Any


class Container(ValueType):
    """Base of all that has parts."""

    is_container = True
    null_is_a_value = False


@register
class ListType(Container):
    """A list whose elements one parameter describes."""

    name = ParameterType.LIST
    python = list

    def read(self, value: Any, parameter: ParameterLike, reader: ElementReader) -> Any:
        """Return a list of the elements' Python values. Raises ValueProblem."""
        items = enumerate(array(value))
        return [located(f"[{n}]", reader.read_element, parameter.values, item) for n, item in items]

    def unquote(self, value: Any, parameter: ParameterLike) -> Any:
        """Return the list with the values that its elements stand for."""
        element = parameter.values
        if element is None or not isinstance(value, list):
            return value
        return [unquoted(element, item) for item in value]


@register
class MapType(Container):
    """An object whose values one parameter describes."""

    name = ParameterType.MAP
    python = dict

    def read(self, value: Any, parameter: ParameterLike, reader: ElementReader) -> Any:
        """Return a dict of the elements' Python values. Raises ValueProblem."""
        items = object_(value).items()
        return {key: located(member(key), reader.read_element, parameter.values, item) for key, item in items}


@register
class ObjectType(Container):
    """An object with a parameter for each member."""

    name = ParameterType.OBJECT

    def read(self, value: Any, parameter: ParameterLike, reader: ElementReader) -> Any:
        """Return a dict of the members' Python values. Raises ValueProblem."""
        # one that lists no members says nothing of them
        allow_unknown = parameter.constraints.allow_unknown_keys or not parameter.members
        return reader.read_members(parameter.members, object_(value), allow_unknown=allow_unknown)


def unquoted(parameter: ParameterLike, value: Any) -> Any:
    """Return a JSON value with numbers and flags in place of the strings that spell them."""
    kind = type_of(parameter.type)
    if not parameter.multi:
        return kind.unquote(value, parameter)
    return [kind.unquote(item, parameter) for item in value] if isinstance(value, list) else value
