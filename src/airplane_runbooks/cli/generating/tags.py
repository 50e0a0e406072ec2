"""Tags: fields whose values tell the structs of a union apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Tag(NamedTuple):
    """The name of a field, and its value in the objects of one struct."""

    field: str
    value: str | int


def find_tags(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Tag]:
    """Return the tags of definitions, by their names, as the `discriminator` of unions tells them."""
    found: dict[str, Tag] = {}
    for field, key in _discriminated(schema):
        tag = _tag(definitions.get(key), field)
        if tag is not None:
            found.setdefault(key, tag)
    return found


def differ(tags: Sequence[Tag]) -> bool:
    """Tell whether one field tells all the tags apart: it has values of one type, and each of them once."""
    kinds = {(tag.field, type(tag.value)) for tag in tags}
    return len(kinds) <= 1 and len(set(tags)) == len(tags)


def _discriminated(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield the field of each discriminator, with the name of each definition that it tells from others."""
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            left += part.values()
            discriminator, choices = part.get("discriminator"), part.get("anyOf", part.get("oneOf"))
            if not isinstance(discriminator, dict) or not isinstance(choices, list):
                continue
            field = discriminator.get("propertyName")
            for choice in choices:
                reference = choice.get("$ref") if isinstance(choice, dict) else None
                if isinstance(field, str) and isinstance(reference, str):
                    yield field, reference.removeprefix("#/$defs/")


def _tag(definition: Any, field: str) -> Tag | None:
    properties = definition.get("properties") if isinstance(definition, dict) else None
    described = properties.get(field) if isinstance(properties, dict) else None
    if not isinstance(described, dict):
        return None
    values = described.get("enum", [described.get("const")])
    if not isinstance(values, list) or len(values) != 1:
        return None
    (value,) = values
    if isinstance(value, str) or (type(value) is int and -(2**63) <= value < 2**63):
        return Tag(field, value)
    return None
