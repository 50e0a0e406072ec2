"""Decode reply bytes into models. Each model has one plan: msgspec in one pass, else a walk in Python.

Two generations of the API disagree on key names, on the spelling of timestamps and on whether an unset value is null,
empty or absent. msgspec decodes a reply of today's form, its timestamps as text, whichever way they are spelled. Only
the others are walked, and those that are large enough for a list to be longer than any list is.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from ..schema.enums import OpenEnum
from ..schema.timestamps import read_stamp
from ._bounds import LIGHT, MAX_ITEMS, Allowance, OutOfTime, TooMuch, check_length, never, weigh
from .base import (
    Model,
    Stamped,
    decoder_of,
    stamp_names,
)

__all__ = ["OutOfTime", "decode", "decode_any", "never"]

T = TypeVar("T")

ReadFunction = Callable[[Any, Allowance], Any]  # of a JSON value; raises msgspec.ValidationError

_UNSET = (b"", b"null", b'""')
_FIRST_INEXACT = 2**53  # above it, one float stands for several integers
_KINDS = {dict: "object", list: "array", str: "str", bool: "bool", int: "int", float: "float", type(None): "null"}


def decode(raw: bytes, model: type[T], is_late: Callable[[], bool] = never) -> T:
    """Decode a reply into `model`.

    Optional members that cannot be read count as not set. Raises msgspec.DecodeError when the bytes are not JSON,
    msgspec.ValidationError when something required is missing or cannot be read, and when the reply is larger than
    replies are. A long walk ends with OutOfTime once `is_late`.
    """
    plan = plan_of(typing.cast("Any", model))
    allowance = None if len(raw) <= LIGHT else Allowance(raw, is_late)
    result: T | None = None if allowance is not None and allowance.careful else plan.read_quickly(raw)
    return plan.read(raw, allowance or Allowance(raw, is_late)) if result is None else result


# for unreadable JSON; msgspec's own errors are ValueErrors only since 0.21
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_any(raw: bytes) -> Any:
    """Decode JSON of any form. Raises as `decode` does."""
    return _decode_any(raw, careful=len(raw) > LIGHT and weigh(raw))


def _decode_any(raw: Any, *, careful: bool) -> Any:
    return decoder_of(object, careful=careful).decode(raw)


class Plan(Protocol):
    """Way to decode one model."""

    def read_quickly(self, raw: Any) -> Any:
        """Decode a small document in today's form, given as bytes or msgspec.Raw; None if it is not one."""
        ...

    def read(self, raw: Any, allowance: Allowance) -> Any:
        """Decode any document."""
        ...


@functools.cache
def plan_of(model: Any) -> Plan:
    """Return the plan of a model, which the first call makes."""
    fields = msgspec.structs.fields(model)
    if len(fields) == 1 and (item := _stamped_in(fields[0].type)) is not None:
        return _Envelope(model, fields[0], item)
    return _Whole(model)


def _stamped_in(hint: Any) -> type[Stamped] | None:
    """Return the model of which a reply holds one or many, if that model has timestamps."""
    inner = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
    return inner if isinstance(inner, type) and issubclass(inner, Stamped) else None


class _Envelope:
    """Reads a reply with one object or a page of them, each by itself, so that a bad one does not spoil the rest."""

    def __init__(self, model: type[Any], field: msgspec.structs.FieldInfo, item: type[Stamped]) -> None:
        self._build = model
        self._name, self._key = field.name, field.encode_name
        self._is_page = not field.required
        content: Any = ("content", list[msgspec.Raw] | None, None) if self._is_page else ("content", msgspec.Raw)
        self._outside = msgspec.defstruct(model.__name__, [content], rename={"content": self._key})
        self._item = plan_of(item)

    def read_quickly(self, raw: Any) -> Any:  # noqa: ARG002 - the protocol's
        """Return None: the objects inside have their own plans."""
        return None

    def read(self, raw: Any, allowance: Allowance) -> Any:
        """Decode any document."""
        content: Any = decoder_of(self._outside).decode(raw).content
        if not self._is_page:
            return self._build(**{self._name: self._part(content, self._key, allowance)})
        items = content or ()
        check_length(self._key, len(items))
        parts = tuple([self._part(part, f"{self._key}[{n}]", allowance) for n, part in enumerate(items)])
        return self._build(**{self._name: parts})

    def _part(self, raw: msgspec.Raw, place: str, allowance: Allowance) -> Any:
        allowance.spend()
        try:
            return (None if allowance.careful else self._item.read_quickly(raw)) or self._item.read(raw, allowance)
        except TooMuch:
            raise
        except msgspec.ValidationError as problem:
            text = str(problem) if "`$" in str(problem) else f"{problem} - at `$`"
            raise msgspec.ValidationError(text.replace("`$", f"`$.{place}", 1)) from None


class _Whole:
    """Reads a document as a whole: strictly if possible, else by the tolerant walk."""

    def __init__(self, model: Any) -> None:
        self._walk = object_reader(model)
        self._has_lists = any(_holds_lists(field.type) for field in msgspec.structs.fields(model))
        self._form: type[Any] = model
        self._build: Callable[[Any], Any] | None = None
        if issubclass(model, Stamped):
            self._form, self._build = _form_of(model)
        self._older = _optional_aliases(model)
        self._raw_form = _raw_form_of(model)
        self._strict = decoder_of(self._form).decode

    def read_quickly(self, raw: Any) -> Any:
        """Decode a document in today's form. Return None for others, and if a list may be too long."""
        return self._read_strictly(raw, self._strict)

    def read(self, raw: Any, allowance: Allowance) -> Any:
        """Decode any document."""
        if allowance.careful:
            strict = decoder_of(self._form, careful=True).decode
            if (found := self._read_strictly(raw, strict)) is not None:
                return found
        found = self._walk(_decode_any(raw, careful=allowance.careful), allowance)
        if self._raw_form is None:
            return found
        return msgspec.structs.replace(found, **msgspec.structs.asdict(decoder_of(self._raw_form).decode(raw)))

    def _read_strictly(self, raw: Any, decode: Callable[[Any], Any]) -> Any:
        if self._has_lists and bytes(raw).count(b",") >= MAX_ITEMS:
            return None
        try:
            found = decode(raw)
        except msgspec.ValidationError:
            return None
        if self._build is None:
            return found
        if any(not getattr(found, new) and bytes(getattr(found, old)) not in _UNSET for old, new in self._older):
            return None
        return self._build(found)


def _holds_lists(hint: Any) -> bool:
    """Tell whether values of a type may hold lists, apart from free JSON."""
    if isinstance(hint, type) and issubclass(hint, Model):
        return any(_holds_lists(field.type) for field in msgspec.structs.fields(hint))
    return typing.get_origin(hint) is tuple


def _form_of(model: type[Stamped]) -> tuple[type[msgspec.Struct], Callable[[Any], Any]]:
    """Return a struct like the model, but with timestamps of any spelling, and what makes the model out of it.

    The latter is generated, as the initialisers of dataclasses are: any other way takes half as much again.
    """
    fields = sorted(msgspec.structs.fields(model), key=lambda field: not field.required)
    names, stamps = model.__struct_fields__, stamp_names(model)
    content = [_with_default(field, Any if field.name in stamps else field.type) for field in fields]
    content += [(old, msgspec.Raw, msgspec.Raw()) for old, _ in _optional_aliases(model)]
    form = msgspec.defstruct(model.__name__, content, rename={field.name: field.encode_name for field in fields})
    values = [f"{name}=" + (f"read_stamp(form.{name})" if name in stamps else f"form.{name}") for name in names]
    source = f"lambda form: model({', '.join(values)})"
    return form, eval(source, {"model": model, "read_stamp": read_stamp})  # noqa: S307  # of our own models' names


def _raw_form_of(model: Any) -> type[msgspec.Struct] | None:
    """Return a struct of the members of a model that are kept as JSON; None if it has none."""
    fields = [field for field in msgspec.structs.fields(model) if _is_raw(field.type)]
    content = [(field.name, field.type, field.default) for field in fields]
    names = {field.name: field.encode_name for field in fields}
    return msgspec.defstruct(model.__name__, content, rename=names) if fields else None


def _is_raw(hint: Any) -> bool:
    return msgspec.Raw in typing.get_args(hint)


def _optional_aliases(model: type[Any]) -> tuple[tuple[str, str], ...]:
    """Return the older keys of optional fields with the names of these: msgspec misses none of the others."""
    names = {field.encode_name: field.name for field in msgspec.structs.fields(model) if not field.required}
    return tuple((old, names[new]) for old, new in _aliases(model).items() if new in names)


def _aliases(model: type[Any]) -> dict[str, str]:
    aliases: dict[str, str] = getattr(model, "__wire_aliases__", {})
    return aliases


def _with_default(field: msgspec.structs.FieldInfo, hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.required:
        return field.name, hint
    if field.default_factory is msgspec.NODEFAULT:
        return field.name, hint, field.default
    return field.name, hint, msgspec.field(default_factory=field.default_factory)


# The tolerant walk.


class _Field(NamedTuple):
    """Reader of one field of a decoded object."""

    name: str
    key: str
    older: tuple[str, ...]  # older keys of the field
    read: ReadFunction
    required: bool

    def find(self, content: dict[str, Any]) -> tuple[str, Any]:
        """Return the key of a value, and the value. Raises ValidationError if a required one is missing."""
        keys = (self.key, *self.older)
        found = next((key for key in keys if content.get(key) is not None), None)
        if found is None and self.required:
            found = next((key for key in keys if key in content), None)
            if found is None:
                raise msgspec.ValidationError(f"Object missing required field `{self.key}`")
        return found or self.key, content.get(found or self.key)


@functools.cache
def object_reader(model: Any) -> ReadFunction:
    """Return the reader of a model's objects. It leaves out the members that are kept as JSON."""
    aliases = _aliases(model)
    wrapper: str | None = getattr(model, "__wire_wrapper__", None)
    fields = [
        _Field(
            field.name,
            field.encode_name,
            tuple(old for old, new in aliases.items() if new == field.encode_name),
            _reader(field.type, field.encode_name),
            field.required,
        )
        for field in msgspec.structs.fields(model)
        if not _is_raw(field.type)
    ]

    def read(value: Any, allowance: Allowance) -> Any:
        allowance.spend()
        content = _expect(dict, value)
        if wrapper is not None and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
        values: dict[str, Any] = {}
        for field in fields:
            if field.required or field.older or content.get(field.key) is not None:
                _read_field(field, content, values, allowance)
        return model(**values)

    return read


def _read_field(field: _Field, content: dict[str, Any], values: dict[str, Any], allowance: Allowance) -> None:
    """Add a field's value to those of the others, if it has one."""
    key, value = field.find(content)
    if value is None and not field.required:
        return
    try:
        values[field.name] = field.read(value, allowance)
    except TooMuch:
        raise
    except msgspec.ValidationError as problem:
        if field.required:
            raise msgspec.ValidationError(f"{problem} - at `$.{key}`") from None


def _reader(hint: Any, name: str) -> ReadFunction:
    """Return the reader of a field's values, by its type."""
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not types.NoneType)
        return _reader(hint, name)
    if origin is tuple:
        return _list_reader(_reader(typing.get_args(hint)[0], name), name)
    if origin in (dict, Mapping):
        return _map_reader(typing.get_args(hint)[1])
    if origin is typing.Annotated:
        return lambda value, _: msgspec.convert(value, hint)
    if hint is Any:
        return lambda value, _: value
    if hint is datetime:
        return lambda value, _: read_stamp(value)
    if hint is int:
        return lambda value, _: _integer(value)
    if issubclass(hint, Model):
        return lambda value, allowance: object_reader(hint)(value, allowance)  # noqa: PLW0108  # late, because the model may contain itself
    if issubclass(hint, OpenEnum):
        return lambda value, _: hint(_expect(str, value))
    return lambda value, _: _expect(hint, value)


def _list_reader(read: ReadFunction, name: str) -> ReadFunction:
    """Return the reader of a list, bare or wrapped as `{"parameters": [...]}`. It skips unreadable items."""

    def read_all(value: Any, allowance: Allowance) -> tuple[Any, ...]:
        if isinstance(value, dict) and isinstance(value.get("parameters"), list):
            value = value["parameters"]
        items = _expect(list, value)
        check_length(name, len(items))
        return tuple(_readable(read, items, allowance))

    return read_all


def _readable(read: ReadFunction, items: list[Any], allowance: Allowance) -> Iterator[Any]:
    for item in items:
        try:
            yield read(item, allowance)
        except TooMuch:
            raise
        except msgspec.ValidationError:
            continue


def _map_reader(hint: Any) -> ReadFunction:
    if hint is Any:
        return lambda value, _: _expect(dict, value)
    return lambda value, _: {key: item for key, item in _expect(dict, value).items() if isinstance(item, hint)}


def _integer(value: Any) -> int:
    # JSON has one kind of number: some encoders write 3600.0 where others write 3600
    if isinstance(value, float) and value.is_integer() and abs(value) < _FIRST_INEXACT:
        return int(value)
    number: int = _expect(int, value)
    return number


def _expect(kind: type[Any], value: Any) -> Any:
    if type(value) is kind:
        return value
    raise msgspec.ValidationError(f"Expected `{_KINDS[kind]}`, got `{_KINDS[type(value)]}`")
