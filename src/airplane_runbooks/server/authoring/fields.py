"""Parameter schemas, made from the annotations of functions and the fields of prompts."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import msgspec

from ...models import Component, Constraints, Parameter
from ...schema.encoding import to_json
from ...schema.problems import NotEncodable, ValueProblem
from ...schema.regex.matcher import full_match
from ...schema.types import SCALARS, Scalar, type_for, type_of
from ...schema.types.containers import ListType
from ..errors import Invalid
from ..storage.encoding import decode, encode, text
from .values import read

SLUG = re.compile(r"[a-z][a-z0-9_]{0,49}")


class _NamesItsFields(msgspec.StructMeta):
    """Class of `Field`: an argument that it does not have is an error that lists those that it has."""

    if not TYPE_CHECKING:  # type checkers would take these arguments for those of Field

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in self.__struct_fields__:
                    raise TypeError(f"Field has no argument {name!r}: it has {', '.join(self.__struct_fields__)}")
            return super().__call__(*args, **kwargs)


class Field(msgspec.Struct, frozen=True, metaclass=_NamesItsFields):
    """Description of a parameter or a prompt's field, where the bare type does not say enough.

    Attributes:
        type: Its type; left out in `Annotated[int, Field(...)]`, where the type comes first.
        name: Label for people, by default made of the slug.
        description: Explanation for people.
        default: Value that replaces a missing or null one.
        options: The only values allowed; of a list of scalars, the only elements.
        regex: Pattern (the common part of RE2) that a string, or each string of a list, must match as a whole.
        optional: Whether the value may be left out; it is None then.
        multiline: Whether people get room for several lines of a string.
        secret: Whether a string is hidden: masked on pages, in logs and in replies, sealed in the database.
    """

    type: Any = None
    name: str = ""
    description: str = ""
    default: Any = None
    options: Sequence[Any] = ()
    regex: str = ""
    optional: bool = False
    multiline: bool = False
    secret: bool = False


def parameter(slug: str, annotation: Any, default: Any = None, description: str = "") -> Parameter:
    """Return the schema of one parameter; `description` is for one that has none of its own.

    Raises TypeError for an annotation that has no parameter type, ValueError for a slug, regex, option or default that
    does not fit.
    """
    if not SLUG.fullmatch(slug):
        raise ValueError(
            f"{slug!r} is not a slug: use up to 50 lower-case letters, digits and underscores, a letter first"
        )
    field, hint = _unpack(annotation)
    hint, optional = _strip_none(hint)
    made = _with_options(_shape(hint, slug), field.options, slug)
    kind = type_of(made.type)
    if kind.is_container and (field.options or field.regex):
        raise TypeError(f"{slug}: options and regex are for scalars and lists of scalars")
    if (field.multiline or field.secret) and (not kind.is_text or made.multi):
        raise TypeError(f"{slug}: multiline and secret are for strings")
    limits = _constraints(field, optional=optional or field.optional, base=made.constraints, slug=slug)
    made = msgspec.structs.replace(
        made,
        slug=slug,
        name=text(field.name, f"{slug}: its name") or slug.replace("_", " ").capitalize(),
        desc=text(field.description or description, f"{slug}: its description"),
        constraints=limits,
        component=Component.TEXTAREA if field.multiline else Component.DEFAULT,
        secret=field.secret,
    )
    return _with_default(made, field.default if default is None else default)


def shape(made: Parameter) -> list[Any]:
    """Return all that decides how the value of a parameter is read, in terms that do not change with this package."""
    choices = [option["value"] for option in made.constraints.options or ()]
    inner = None if made.values is None else shape(made.values)
    return [made.slug, made.type.value, made.multi, made.constraints.optional, choices, inner]


def _unpack(annotation: Any) -> tuple[Field, Any]:
    """Separate the type from the Field around it, which is the annotation itself or inside Annotated."""
    if isinstance(annotation, Field):
        inner, hint = _unpack(annotation.type)
        if inner != Field():
            raise TypeError("a Field cannot hold another one")
        return annotation, hint
    if typing.get_origin(annotation) is typing.Annotated:
        hint, *extras = typing.get_args(annotation)
        field = next((extra for extra in extras if isinstance(extra, Field)), None)
        text = next((extra for extra in extras if isinstance(extra, str)), "")
        return field or Field(description=text), hint
    return Field(), annotation


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    arms = [arm for arm in typing.get_args(hint) if arm is not types.NoneType]
    if len(arms) != 1:
        raise TypeError(f"{hint} mixes types; only `T | None` is a parameter type")
    return arms[0], True


def _shape(hint: Any, slug: str) -> Parameter:
    """Return the schema of a type, without name and constraints of its own."""
    if _is_enum(hint):
        return _of_enum(hint, slug)
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    kind = type_for(origin)
    if origin is Literal:
        kinds = {type(choice) for choice in arguments}
        if len(kinds) == 1 and kinds <= {str, int}:
            return _with_options(Parameter(type=SCALARS[kinds.pop()].name), arguments, slug)
    if origin is list:
        return _list(_element(arguments[0] if arguments else Any, slug))
    if kind is not None and not arguments:
        return Parameter(type=kind.name)
    if kind is not None and origin is dict and arguments[0] is str:
        return Parameter(type=kind.name, values=_element(arguments[1], slug))
    raise TypeError(f"{slug}: {hint!r} is not a parameter type: use {_TYPES}")


_TYPES = (
    "str, bool, int, float, date, datetime, Literal, an enum, list[...], dict[str, ...], ConfigVar, Upload or Any, and"
    " for an amount of money an int of its smallest unit"
)


def _is_enum(hint: Any) -> TypeGuard[type[Enum]]:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _of_enum(hint: type[Enum], slug: str) -> Parameter:
    kinds = {_type_of_member(member) for member in hint}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None:
        *others, last = (one.enum_members for one in SCALARS.values() if one.enum_members)
        wanted = f"{', '.join(others)} or {last}"
        raise TypeError(f"{slug}: the members of {hint.__name__} must be all of one kind: {wanted}")
    options = [{"label": member.name, "value": _json(member.value, slug)} for member in hint]
    made = Parameter(type=kind.name, constraints=Constraints(options=options))
    for member, option in zip(hint, options, strict=True):
        if not _comes_back(member, made, option["value"]):
            raise TypeError(f"{slug}: {hint.__name__}.{member.name} cannot be told from its JSON form")
    return made


def _type_of_member(member: Enum) -> Scalar | None:
    """Return the type of an enum's member, None if the members of enums cannot have it."""
    kinds = (kind for python, kind in SCALARS.items() if isinstance(member.value, python))
    return next((kind for kind in kinds if kind.enum_members), None)


def _comes_back(member: Enum, made: Parameter, value: Any) -> bool:
    """Return True if the JSON of a member leads back to it. That of a time without a zone, say, does not."""
    try:
        return type(member)(read(made, value, made.slug)) is member
    except (Invalid, ValueError):
        return False


def enum_converter(annotation: Any) -> Callable[[Any], Any]:
    """Return a function that replaces values by the members of the enums in a parameter's annotation."""
    return _members(_unpack(annotation)[1]) or (lambda value: value)


def _members(hint: Any) -> Callable[[Any], Any] | None:
    """Return the same for a type; None if it has no enums in it."""
    hint, _ = _strip_none(hint)
    if _is_enum(hint):
        return lambda value: None if value is None else _member(hint, value)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    inner = _members(arguments[-1]) if origin in (list, dict) else None
    if inner is None:
        return None
    if origin is list:
        return lambda value: None if value is None else [inner(item) for item in value]
    return lambda value: None if value is None else {key: inner(item) for key, item in value.items()}


def _member(hint: type[Enum], value: Any) -> Enum:
    """Return the member of an enum that has a value. Raises ValueProblem."""
    try:
        return hint(value)
    except ValueError:
        raise ValueProblem("the value is not among the options") from None


def _element(hint: Any, slug: str) -> Parameter:
    inner, optional = _strip_none(hint)
    shape = _shape(inner, slug)
    if not optional:
        return shape
    return msgspec.structs.replace(shape, constraints=msgspec.structs.replace(shape.constraints, optional=True))


def _list(element: Parameter) -> Parameter:
    """Write lists of scalars with `multi`, which shipped clients know, and all other lists as type `list`."""
    if element.multi or type_of(element.type).is_container or element.constraints.optional:
        return Parameter(type=ListType.name, values=element)
    return msgspec.structs.replace(element, multi=True)


def _constraints(field: Field, *, optional: bool, base: Constraints, slug: str) -> Constraints:
    if full_match(text(field.regex, f"{slug}: its regex"), "") is None:  # so that reading values never meets one
        raise ValueError(f"{slug}: this regex is not supported: {field.regex}")
    return msgspec.structs.replace(base, optional=optional, regex=field.regex)


def _with_options(made: Parameter, choices: Sequence[Any], slug: str) -> Parameter:
    """Put the options of an author in place of those of an enum."""
    if not choices:
        return made
    values = [_json(choice, slug) for choice in choices]
    options = [{"label": type_of(made.type).label(value), "value": value} for value in values]
    return msgspec.structs.replace(made, constraints=msgspec.structs.replace(made.constraints, options=options))


def _json(value: Any, slug: str) -> Any:
    """Return the JSON of an author's value: in the form that clients send if it has one, else in msgspec's."""
    try:
        return to_json({slug: value})[slug]
    except NotEncodable:
        pass  # a set or a data class, say
    try:
        return decode(encode(value))
    except NotEncodable as problem:
        raise ValueError(f"{slug}: {problem}") from None


def _with_default(made: Parameter, default: Any) -> Parameter:
    """Put the default in, in its JSON form, after checking it and the options."""
    checked = [] if default is None else [_json(default, made.slug)]
    choices = [option["value"] for option in made.constraints.options or ()]
    checked += [[choice] for choice in choices] if made.multi else choices
    try:
        for value in checked:
            read(made, value, made.slug)
    except Invalid as problem:
        raise ValueError(problem.message) from None
    return made if default is None else msgspec.structs.replace(made, default=checked[0])
