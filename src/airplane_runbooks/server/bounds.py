"""Bounds of numbers in settings, declared with the type of the field."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

Count: TypeAlias = Annotated[int, Meta(ge=1)]
Number: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
Timeout: TypeAlias = Annotated[float, Meta(gt=0)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]


def check_bounds(settings: msgspec.Struct) -> None:
    """Raise ValueError or TypeError that names the first field whose number is out of its bounds."""
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        if get_origin(kind) is Annotated and get_args(kind)[0] in (int, float):
            value = getattr(settings, name)
            if not _is_number(value, get_args(kind)[0]):
                raise TypeError(f"{name} must be {describe_bounds(kind)}, not {value!r}")
            if not _is_within(value, get_args(kind)[1]):
                raise ValueError(f"{name} must be {describe_bounds(kind)}, not {value!r}")


def describe_bounds(kind: Any) -> str:
    """Describe an annotated number, such as `a whole number of at least 1`."""
    base, meta = get_args(kind)
    number = "a whole number" if base is int else "a number"
    if meta.le is not None:
        return f"{number} from {meta.ge} to {meta.le}"
    return f"{number} of at least {meta.ge}" if meta.gt is None else f"{number} greater than {meta.gt}"


def _is_number(value: object, base: type) -> bool:
    allowed = (int,) if base is int else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool)


def _is_within(value: float, meta: Meta) -> bool:
    return not (
        not math.isfinite(value)
        or (meta.ge is not None and value < meta.ge)
        or (meta.gt is not None and value <= meta.gt)
        or (meta.le is not None and value > meta.le)
    )
