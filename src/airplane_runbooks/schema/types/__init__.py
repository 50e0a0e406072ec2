"""Parameter types: one object for each, which knows all that depends on the type.

A new type is a class in the module of its kin, with `@register` above it. The rest of the client and the server find it
by `type_of`. If people fill it in, and no template in the server's `templates/controls` suits it, it needs one there.
"""

# The order decides which type encodes a value of several: a datetime is a date, too.
from . import plain, numbers, times, references, containers  # isort: skip
from .base import SCALARS, TYPES, Scalar, ValueType, register, type_for, type_of

__all__ = [
    "SCALARS",
    "TYPES",
    "Scalar",
    "ValueType",
    "containers",
    "numbers",
    "plain",
    "references",
    "register",
    "times",
    "type_for",
    "type_of",
]
