"""Base classes of the models, and their decoders."""

from __future__ import annotations

import functools
import math
import threading
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

import msgspec

from ..schema.timestamps import in_utc

# The ID of a new object. A reply without it is of no use.
Identifier: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of all objects in replies: immutable. Unknown fields are ignored."""


class Stamped(Model, frozen=True, kw_only=True, omit_defaults=True):
    """A model whose `datetime` fields are aware and in UTC, even if the server wrote another offset."""

    def __post_init__(self) -> None:
        for name in stamp_names(type(self)):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                msgspec.structs.force_setattr(self, name, in_utc(moment))


@functools.cache
def stamp_names(model: type[Stamped]) -> frozenset[str]:
    """Return the names of a model's timestamps."""
    return frozenset(field.name for field in msgspec.structs.fields(model) if field.type == datetime | None)


_decoders: dict[object, msgspec.json.Decoder[Any]] = {}
_careful_decoders: dict[object, msgspec.json.Decoder[Any]] = {}
_building = threading.Lock()


def decoder_of(model: object, *, careful: bool = False) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a model, built on first use. A `careful` one lets Python read the numbers of free values.

    msgspec (0.22) publishes its description of a struct before it is complete, for structs that refer to themselves. A
    thread that uses one of these at that moment crashes the process. So one thread builds, and the others wait.
    """
    decoders = _careful_decoders if careful else _decoders
    try:
        return decoders[model]
    except KeyError:
        with _building:
            hook = _finite_float if careful else None
            decoder = decoders[model] = decoders.get(model) or msgspec.json.Decoder(model, float_hook=hook)
            return decoder


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("Number out of range")
    return number
