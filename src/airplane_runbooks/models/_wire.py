"""From reply bytes to models: the strict way first, the forgiving way when that fails.

Two generations of the API disagree on key names, on the spelling of timestamps and on whether an unset value
is null, empty or absent. Replies in today's form are decoded by msgspec in one pass; only the others pay for a walk.
"""

from __future__ import annotations

import functools
import threading
import types
import typing
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def parse_timestamp(text: str) -> datetime | None:
    """Read a timestamp in RFC 3339 or in PostgreSQL's text form (`2022-01-11 22:32:45.6+00`) as UTC.

    The empty string means "not set". A timestamp without a zone is taken as UTC, the API's only zone.
    Raises ValueError for anything else.
    """
    if not text:
        return None
    try:
        moment = msgspec.convert(text, datetime)  # so that both ways of decoding round a long fraction alike
    except msgspec.ValidationError:
        moment = datetime.fromisoformat(text)
    return _in_utc(moment)


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the timestamp is outside of the years 1 to 9999 in UTC") from None


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of everything that a reply holds: immutable, and deaf to fields it does not know."""


class Stamped(Model, frozen=True, kw_only=True, omit_defaults=True):
    """A model whose `datetime` fields are always aware and in UTC, whatever offset the server wrote."""

    def __post_init__(self) -> None:
        for name in _stamp_names(type(self)):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                msgspec.structs.force_setattr(self, name, _in_utc(moment))


@functools.cache
def _stamp_names(model: type[Stamped]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(model) if field.type == datetime | None)


_decoders: dict[object, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()


def decoder_of(model: object) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a model, built the first time.

    msgspec (0.22) keeps what it finds out about a struct while it is finding it out, for structs that hold themselves:
    a thread that uses one of these meanwhile crashes the process. So one thread builds, and nobody uses what is not
    complete.
    """
    try:
        return _decoders[model]
    except KeyError:
        with _building:
            decoder = _decoders[model] = _decoders.get(model) or msgspec.json.Decoder(model)
            return decoder


def decode(raw: bytes, model: type[T]) -> T:
    """Decode a reply into `model`.

    Raises msgspec.DecodeError when the bytes are not JSON and msgspec.ValidationError when they do not fit, even after
    nulls and empty timestamps are dropped, older key names translated and wrapped objects unwrapped.
    """
    decoder = decoder_of(model)
    if not _is_legacy(raw):
        try:
            result: T = decoder.decode(raw)
        except msgspec.ValidationError:
            pass
        else:
            return result
    return msgspec.convert(_normalise(msgspec.json.decode(raw), model), model)


def _is_legacy(raw: bytes) -> bool:
    """Whether keys of the older generation stand in place of today's (a reply that carries both needs no help)."""
    return b'"creatorID"' in raw and b'"createdBy"' not in raw


def _normalise(value: Any, hint: Any) -> Any:
    """Bring a decoded JSON value into the form that `hint` describes; what is opaque stays untouched."""
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
        return None if value is None else _normalise(value, hint)
    if hint is datetime and isinstance(value, str):
        return _timestamp(value)
    if origin is tuple:
        return _normalise_items(value, typing.get_args(hint)[0])
    if isinstance(hint, type) and issubclass(hint, Model) and isinstance(value, dict):
        return _normalise_fields(value, hint)
    return value


def _timestamp(value: str) -> Any:
    try:
        return parse_timestamp(value)
    except ValueError:
        return value  # left for msgspec to refuse, with the path in its message


def _normalise_items(value: Any, hint: Any) -> Any:
    """Accept a bare array and the wrapped form `{"parameters": [...]}`."""
    if isinstance(value, dict) and isinstance(value.get("parameters"), list):
        value = value["parameters"]
    return [_normalise(item, hint) for item in value] if isinstance(value, list) else value


def _normalise_fields(value: dict[str, Any], model: type[Model]) -> dict[str, Any]:
    wrapper = getattr(model, "__wire_wrapper__", None)
    if wrapper is not None and isinstance(value.get(wrapper), dict):
        value = value[wrapper]
    aliases: dict[str, str] = getattr(model, "__wire_aliases__", {})
    older = {new: value[old] for old, new in aliases.items() if old in value}
    value = {**value, **older, **_without_nulls(value)}
    result: dict[str, Any] = {}
    for field in msgspec.structs.fields(model):
        if (item := value.get(field.encode_name)) is not None:
            result[field.encode_name] = _normalise(item, field.type)
        elif field.required and field.type is Any and field.encode_name in value:
            result[field.encode_name] = None
    return result


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item is not None}
