"""Files among values from the command line: sent before the call that has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from .. import Airplane, CallOptions, ParameterSchema, ParamValueError, Upload
from ..schema.types import type_of


def send_files(
    airplane: Airplane, schema: ParameterSchema, values: Mapping[str, Any], root: str, key: str | None = None
) -> dict[str, Any]:
    """Return checked values in which an upload takes the place of each `@PATH` where the schema wants one.

    Args:
        airplane: The client that sends the files.
        schema: The schema.
        values: The values.
        root: Name of all values in errors.
        key: Idempotency key of the command: repeated with the same files, it passes the same uploads.

    Raises:
        ParamValueError: A file cannot be read; the message names the parameter.
    """
    sent = dict(values)
    for slug in (one.slug for one in schema.parameters if type_of(one.type).python is Upload and one.slug in values):
        value = values[slug]
        items = value if isinstance(value, list) else [value]
        try:
            found = [
                _send(airplane, item, f"{key}.{slug}.{number}" if key else None) for number, item in enumerate(items)
            ]
        except OSError as problem:
            name = problem.filename or "the file"
            raise ParamValueError(f"{root}.{slug}", f"cannot read {name}: {problem.strerror}") from None
        sent[slug] = found if isinstance(value, list) else found[0]
    return sent


def _send(airplane: Airplane, item: Any, key: str | None) -> Any:
    if not (isinstance(item, str) and item.startswith("@")):
        return item
    return airplane.uploads.create(item[1:], options=CallOptions(idempotency_key=key or UNSET))
