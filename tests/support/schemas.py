"""Schemas of one parameter, and what they make of a value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from airplane_runbooks import ParamValueError
from airplane_runbooks.models import Constraints, Parameter, ParameterSchema

CONFIG_VAR = {"__airplaneType": "configvar", "name": "db", "value": "secret"}
UPLOAD = {"__airplaneType": "upload", "id": "upl1", "url": "https://files/upl1?signed"}
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


def parameter(kind: str = "string", **fields: Any) -> Parameter:
    """Return the parameter `p` as a server describes it; constraints go by their own names."""
    constraints = {name: fields.pop(name) for name in list(fields) if name in Constraints.__struct_fields__}
    return msgspec.convert({"slug": "p", "type": kind, **fields, "constraints": rename(constraints)}, Parameter)


def rename(constraints: dict[str, Any]) -> dict[str, Any]:
    """Return constraints by the names that they have on the wire."""
    return {"allowUnknownKeys" if name == "allow_unknown_keys" else name: one for name, one in constraints.items()}


def raw(one: Parameter, **fields: Any) -> dict[str, Any]:
    """Return the JSON of a parameter, to put it into another one."""
    return {**msgspec.to_builtins(one), **fields}


def read(one: Parameter, value: Any) -> Any:
    """Return what the only parameter of a schema makes of a value."""
    return ParameterSchema(parameters=(one,)).validate({one.slug: value})[one.slug]


def refusal(*parameters: Parameter, **values: Any) -> str:
    """Return the message in which values are refused."""
    with pytest.raises(ParamValueError) as refused:
        ParameterSchema(parameters=parameters).validate(values)
    return str(refused.value)
