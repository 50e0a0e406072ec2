"""JSON on its way into the records: nothing that JSON cannot hold gets in unnoticed."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec

from ...schema.problems import NotEncodable
from ..logs import class_name, kind_of, message_of

MAX_OUTPUT = 8 * 1024 * 1024  # bytes of JSON
MAX_DEPTH = 200  # far from where Python's own recursion limit makes a value readable here and not there

NULL = b"null"
EMPTY = b"{}"

decode = msgspec.json.decode


def text(value: Any, what: str) -> str:
    """Return a text that anybody can read, as a plain `str`. Raises TypeError, ValueError, which say `what` it is."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {class_name(type(value))}")
    plain = str.__str__(value)
    try:
        plain.encode()
    except UnicodeEncodeError as problem:
        raise ValueError(f"{what} has a lone surrogate in place of character {problem.start + 1}") from None
    return plain


def encode(value: Any) -> bytes:
    """Encode a value as JSON of at most 8 MiB.

    Tuples, sets, dates, data classes and msgspec structs take the form that msgspec gives them. Raises NotEncodable for
    other types, NaN and infinities, lone surrogates, cycles, more than 200 levels, and more than 8 MiB.
    """
    try:
        _check(msgspec.to_builtins(value, str_keys=True), MAX_DEPTH)
        encoded = msgspec.json.encode(value)
    except NotEncodable:
        raise
    except UnicodeEncodeError:
        raise NotEncodable("a lone surrogate is not text") from None
    except RecursionError:
        raise NotEncodable("it contains itself or is nested too deeply") from None
    except (TypeError, ValueError, OverflowError) as problem:
        raise NotEncodable(message_of(problem)) from None
    except Exception as problem:  # noqa: BLE001 - objects may raise what they like
        raise NotEncodable(f"asked for its members, it raised {kind_of(problem)}") from None
    if len(encoded) > MAX_OUTPUT:
        raise NotEncodable(f"it takes {len(encoded)} bytes, more than {MAX_OUTPUT}")
    return encoded


def _check(value: Any, room: int) -> None:
    if isinstance(value, float):
        if not isfinite(value):  # msgspec would write null in its place
            raise NotEncodable("NaN and infinities have no form in JSON")
    elif isinstance(value, dict | list | tuple):
        if not room:
            raise NotEncodable(f"it is nested more than {MAX_DEPTH} levels deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, room - 1)


def encode_members(values: dict[str, Any]) -> bytes:
    """Encode the members that JSON can hold, and leave the others out."""
    members: dict[str, msgspec.Raw] = {}
    for name, value in values.items():
        try:
            members[name] = msgspec.Raw(encode(value))
        except NotEncodable:
            continue
    return msgspec.json.encode(members)
