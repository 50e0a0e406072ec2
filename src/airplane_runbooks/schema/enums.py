"""Open enums: a value that a newer server invents decodes, compares and encodes like any other."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class OpenEnum(StrEnum):
    """String enum in which each unknown value becomes a member of its own, outside the listed ones."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """True if this version of the library lists the value."""
        return self.value in type(self)._value2member_map_

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class ParameterType(OpenEnum):
    """Name of a parameter type: all that the API's description and its clients have used."""

    ANY = "any"
    STRING = "string"
    BOOLEAN = "boolean"
    UPLOAD = "upload"
    INTEGER = "integer"
    FLOAT = "float"
    DATE = "date"
    DATETIME = "datetime"
    CONFIGVAR = "configvar"
    LIST = "list"
    MAP = "map"
    OBJECT = "object"
    JSON = "json"


class Component(OpenEnum):
    """Control that a form shows for a string parameter."""

    DEFAULT = ""
    EDITOR_SQL = "editor-sql"
    TEXTAREA = "textarea"
