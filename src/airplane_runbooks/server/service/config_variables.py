"""Config variables: values that the server has and callers only name."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}")


class ConfigVariable(msgspec.Struct, frozen=True):
    """Value of a config variable.

    Attributes:
        value: The text.
        secret: Whether it is sealed in the database, and masked in outputs, logs, errors and pages.
    """

    value: str
    secret: bool = True

    def __repr__(self) -> str:
        return "<ConfigVariable>"


def complete_variables(given: Mapping[str, str | ConfigVariable]) -> Mapping[str, ConfigVariable]:
    """Return config variables by their names, in order. A bare text is a secret one.

    Raises TypeError for a value that is not text, and ValueError for a name of other characters.
    """
    return {name: _variable(name, given[name]) for name in sorted(given)}


def _variable(name: str, value: str | ConfigVariable) -> ConfigVariable:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a config variable: use letters, digits and _ . / -")
    variable = value if isinstance(value, ConfigVariable) else ConfigVariable(value)
    if not isinstance(variable.value, str):
        raise TypeError(f"the value of the config variable {name} must be text, not {type(variable.value).__name__}")
    return variable
