"""Replies for the API's generated clients, whose decoders accept only strings for values. Pure.

One value of another type fails their whole reply, even a page of a list. So they get such values as JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...storage.idempotency import StoredReply

_USER_AGENT = "speakeasy-sdk/"  # of all clients of the generator, in any language


def is_generated_client(headers: Mapping[str, str]) -> bool:
    """Tell whether a call comes from a generated client."""
    return headers.get("user-agent", "").startswith(_USER_AGENT)


def with_string_values(reply: StoredReply) -> StoredReply:
    """Return a reply with JSON text in place of values that are not strings."""
    return StoredReply(reply.status, msgspec.json.encode(_record(msgspec.json.decode(reply.body))))


def _record(record: dict[str, Any]) -> dict[str, Any]:
    return {key: _MEMBERS[key](item) if key in _MEMBERS else item for key, item in record.items()}


def _records(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_record(record) for record in records]


def _texts(values: dict[str, Any] | None) -> dict[str, str]:
    return {slug: _text(value) for slug, value in (values or {}).items()}  # null in lists, which leave the values out


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json_text(value)


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _output(output: Any) -> dict[str, str]:
    return _texts(output) if isinstance(output, dict) else {"output": _json_text(output)}


def _schema(schema: Any) -> Any:
    """Convert a schema, which is a list of parameters or an object with one."""
    if isinstance(schema, dict):
        return {**schema, "parameters": _schema(schema["parameters"])}
    return [_parameter(parameter) for parameter in schema]


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    limits, default = parameter["constraints"], parameter["default"]
    changed = {
        **parameter,
        "default": None if default is None else _text(default),
        "constraints": {**limits, "options": _options(limits["options"])},
    }
    return {**changed, "values": _parameter(parameter["values"])} if "values" in parameter else changed


def _options(options: Any) -> Any:
    return options and [{**option, "value": _text(option["value"])} for option in options]


_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "paramValues": _texts,
    "values": _texts,
    "output": _output,
    "outputs": _output,
    "params": _schema,
    "parameters": _schema,
    "schema": _schema,
    "run": _record,
    "prompt": _record,
    "runs": _records,
    "sessions": _records,
    "prompts": _records,
}
