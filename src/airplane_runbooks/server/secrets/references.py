"""References among the values of parameters: to uploaded files, and to config variables with their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...models import Parameter
from ...schema.types import type_of
from ...schema.types.references import ConfigVar

VALUE = "value"  # member of a config variable in JSON, which only the sealed form has
SECRET = "secret"  # noqa: S105 - the name of a member


def holds(parameter: Parameter, kind: type) -> bool:
    """Tell whether the values of a parameter are references, or may have some in them: Uploads or ConfigVars."""
    return type_of(parameter.type).python is kind or (parameter.values is not None and holds(parameter.values, kind))


def replaced(parameter: Parameter, value: Any, kind: type, replace: Callable[[Any], Any]) -> Any:
    """Return a value, in JSON or in Python, with each of its references of a kind replaced."""
    if value is None or not holds(parameter, kind):
        return value
    if parameter.values is not None and isinstance(value, dict):
        return {key: replaced(parameter.values, item, kind, replace) for key, item in value.items()}
    if parameter.values is not None:
        return [replaced(parameter.values, item, kind, replace) for item in value]
    return [replace(item) for item in value] if parameter.multi else replace(value)


def found(parameter: Parameter, value: Any, kind: type) -> list[Any]:
    """Return the references of a kind in a value."""
    references: list[Any] = []
    replaced(parameter, value, kind, references.append)
    return references


def without_variable(value: Any) -> Any:
    """Return the JSON of a config variable as it may be shown."""
    return (
        {key: item for key, item in value.items() if key not in (VALUE, SECRET)} if isinstance(value, dict) else value
    )


def secret_variables(parameter: Parameter, value: Any) -> Iterator[str]:
    """Yield the values of the secret config variables in a JSON value."""
    for variable in found(parameter, value, ConfigVar):
        if isinstance(variable, dict) and variable.get(SECRET):
            yield str(variable.get(VALUE, ""))
