"""Executions of runbooks as objects: a runbook, the values of its parameters, and the type of its result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, dataclass_transform, get_args, get_origin

import msgspec
from msgspec import UNSET

from ..errors import ConfigurationError
from .runbooks import ExecuteRunbook

R_co = TypeVar("R_co", covariant=True)

_Rename: TypeAlias = (
    Literal["lower", "upper", "camel", "pascal", "kebab"] | Callable[[str], str | None] | Mapping[str, str] | None
)


class _CallMeta(msgspec.StructMeta):
    """Makes a class of calls. It keeps the slug and the type of the result where no field can be in their way."""

    __runbook_slug__: str | None
    __result_type__: Any

    def __new__(  # noqa: PYI034 - a metaclass has no Self
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        *,
        slug: str | None = None,
        rename: _Rename = None,
        frozen: Literal[True] = True,
    ) -> _CallMeta:
        made = super().__new__(cls, name, bases, namespace, frozen=frozen, kw_only=True, rename=rename)
        if slug is not None:
            made.__runbook_slug__ = slug
        for base in namespace.get("__orig_bases__", ()):
            if isinstance(get_origin(base), _CallMeta):
                made.__result_type__ = _result_type(base)
        return made


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class RunbookCall(msgspec.Struct, Generic[R_co], metaclass=_CallMeta, frozen=True):
    """An execution of a runbook, as a value: declare one class for each runbook, and pass an object of it.

        class Refund(RunbookCall[str], slug="refund"):
            customer: str
            limit: int = 100

        outcome = airplane.runbooks.run(Refund(customer="c1"), wait_timeout=60)  # a str

    Its objects are immutable, and their arguments are given by keyword. Each field is a parameter of that slug; name
    one whose slug is not an identifier by `msgspec.field(name="...")`, or all by `rename=`, as for a msgspec struct. A
    field that is UNSET is left out, so that the server's default holds, and so is None where None is the field's
    default. The class in brackets is the type of the result, into which the output of the session is decoded.
    """

    __runbook_slug__ = None
    __result_type__ = Any


def _result_type(base: Any) -> Any:
    """Return the type of the result that a base such as `RunbookCall[str]` tells."""
    origin, given = get_origin(base), get_args(base)
    if origin is RunbookCall:
        return given[0]
    known = dict(zip(origin.__parameters__, given, strict=True))  # of a generic class between both
    result = origin.__result_type__
    if isinstance(result, TypeVar):
        return known[result]
    free = getattr(result, "__parameters__", ())
    return result[tuple(known[one] for one in free)] if free else result


def declare_call(slug: str, fields: Iterable[str], result: Any) -> type[RunbookCall[Any]]:
    """Return the class of the calls of a runbook whose signature is at hand. Fields that are not given are left out."""
    fields = tuple(fields)
    namespace = {"__module__": __name__, "__annotations__": dict.fromkeys(fields, Any), **dict.fromkeys(fields, UNSET)}
    made = _CallMeta(slug, (RunbookCall,), namespace, slug=slug)
    made.__result_type__ = result
    return cast("type[RunbookCall[Any]]", made)


def request_of(call: RunbookCall[Any]) -> ExecuteRunbook:
    """Return the request that a call stands for. Raises ConfigurationError if its class has no slug."""
    kind = type(call)
    if kind.__runbook_slug__ is None:
        raise ConfigurationError(f'{kind.__name__} needs a slug: class {kind.__name__}(RunbookCall[...], slug="...")')
    return ExecuteRunbook(slug=kind.__runbook_slug__, param_values=values_of(call))


def result_type_of(call: RunbookCall[Any]) -> Any:
    """Return the type of the result of a call."""
    return type(call).__result_type__


def values_of(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the values of a struct's fields by the names in its JSON, which are slugs.

    UNSET is left out, and so is None where None is the default.
    """
    return {
        slug: value
        for name, slug, default in _fields(type(struct))
        if (value := getattr(struct, name)) is not UNSET and not (value is None and default is None)
    }


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Return the names, slugs and defaults of a struct's fields, without a look at their types."""
    names, slugs, defaults = kind.__struct_fields__, kind.__struct_encode_fields__, kind.__struct_defaults__
    without = (msgspec.NODEFAULT,) * (len(names) - len(defaults))
    return tuple(zip(names, slugs, (*without, *defaults), strict=True))
