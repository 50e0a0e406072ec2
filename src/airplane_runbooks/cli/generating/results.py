"""Types of results, from JSON Schema to annotations and structs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .fields import Field, literal, literal_of, struct_lines
from .names import Names, docstring
from .tags import Tag, differ, find_tags

Schema = Mapping[str, Any]

_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_FORMATS = {"date-time": "datetime.datetime", "date": "datetime.date", "uuid": "uuid.UUID"}
_DEEPEST = 50


class ResultTypes:
    """Writes the types of one runbook's result.

    Attributes:
        lines: The definitions of the structs, each one before it is used by a class.
    """

    def __init__(self, names: Names, prefix: str, schema: Schema) -> None:
        self.lines: list[str] = []
        self._names = names
        self._prefix = prefix
        found = schema.get("$defs")
        self._definitions: Mapping[str, Any] = found if isinstance(found, dict) else {}
        self._open: set[str] = set()  # names of definitions that are being written
        self._structs: dict[str, str] = {}  # by the names of their definitions
        self._tags = find_tags(schema, self._definitions)
        self._unions: dict[str, Sequence[str]] = {}  # the members of each union, which is a member of others
        self._tagged: dict[str, Tag] = {}  # by the names of the structs
        self.annotation = self._annotation(schema, "Result", 0)

    def _annotation(self, schema: Any, name: str, depth: int) -> str:
        """Return the annotation that a schema stands for, `Any` for what has no precise one."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return "Any"
        if isinstance(reference := schema.get("$ref"), str):
            return self._referenced(reference, name, depth)
        if "enum" in schema or "const" in schema:
            return self._enum(schema["enum"] if "enum" in schema else [schema["const"]])
        choices = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(choices, list):
            return self._union([self._annotation(choice, name, depth + 1) for choice in choices])
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._union([self._annotation({**schema, "type": kind}, name, depth + 1) for kind in kinds])
        if kinds == "array":
            return self._array(schema, name, depth)
        if kinds == "object":
            return self._object(schema, name, depth)
        return _FORMATS.get(schema.get("format", ""), "str") if kinds == "string" else _PLAIN.get(str(kinds), "Any")

    def _referenced(self, reference: str, name: str, depth: int) -> str:
        key = reference.removeprefix("#/$defs/")
        definition = self._definitions.get(key)
        if key in self._structs:
            return self._structs[key]
        if isinstance(definition, dict) and definition.get("properties"):
            self._structs[key] = made = self._names.class_name(self._prefix, "Result" if depth == 0 else key)
            if key in self._tags:
                self._tagged[made] = self._tags[key]
            self._struct(made, definition, depth)
            return made
        if key in self._open:  # an alias of itself has no annotation
            return "Any"
        self._open.add(key)
        try:
            return self._annotation(definition, name, depth + 1)
        finally:
            self._open.remove(key)

    def _array(self, schema: Schema, name: str, depth: int) -> str:
        items = schema.get("prefixItems")
        if isinstance(items, list) and items:
            return f"tuple[{', '.join(self._annotation(item, name, depth + 1) for item in items)}]"
        return f"list[{self._annotation(schema.get('items'), f'{name}_item', depth + 1)}]"

    def _object(self, schema: Schema, name: str, depth: int) -> str:
        if not schema.get("properties"):
            return f"dict[str, {self._annotation(schema.get('additionalProperties'), f'{name}_value', depth + 1)}]"
        made = self._names.class_name(self._prefix, name)
        self._struct(made, schema, depth)
        return made

    def _struct(self, made: str, schema: Schema, depth: int) -> None:
        required = schema.get("required") or ()
        tag = self._tagged.get(made)
        fields = [
            _field(slug, self._annotation(each, f"{made.removeprefix(self._prefix)}_{slug}", depth + 1), each, required)
            for slug, each in schema["properties"].items()
            if tag is None or slug != tag.field
        ]
        description = schema.get("description") or f"Part of a result of the runbook, `{schema.get('title') or made}`."
        options = "" if tag is None else f", tag_field={literal(tag.field)}, tag={literal(tag.value)}"
        self.lines += ["", "", f"class {made}(msgspec.Struct, frozen=True, kw_only=True{options}):"]
        self.lines += [*docstring(str(description), "    "), "", *struct_lines(fields)]

    def _enum(self, values: Sequence[Any]) -> str:
        named = literal_of([value for value in values if value is not None])
        return self._union([named, "None"] if None in values else [named]) if named else "Any"

    def _union(self, members: Sequence[str]) -> str:
        """Return a union, or `Any` if msgspec could not tell its members apart in JSON."""
        members = list(dict.fromkeys(part for member in members for part in self._unions.get(member, (member,))))
        tags = [self._tagged[member] for member in members if member in self._tagged]
        kinds = [_kind(member) for member in members if member not in self._tagged]
        if tags:
            kinds.append("object")
        if "Any" in members or len(set(kinds)) < len(kinds) or not differ(tags):
            return "Any"
        members.sort(key=lambda member: member == "None")
        made = " | ".join(members) or "Any"
        self._unions[made] = members
        return made


def _field(slug: str, annotation: str, schema: Any, required: Sequence[str]) -> Field:
    if slug in required:
        return Field(slug, annotation)
    if isinstance(schema, dict) and "default" in schema:
        default = schema["default"]
        if default is None and ("None" in annotation.split(" | ") or annotation == "Any"):
            return Field(slug, annotation, "None")
        if isinstance(default, bool | int | str) and type(default).__name__ == annotation:
            return Field(slug, annotation, literal(default))
        if default == [] and annotation.startswith("list["):
            return Field(slug, annotation, "[]")
        if default == {} and annotation.startswith("dict["):
            return Field(slug, annotation, "{}")
    return Field(slug, f"{annotation} | UnsetType", "UNSET")


def _kind(annotation: str) -> str:
    """Return the kind of JSON value that an annotation is for."""
    head = annotation.partition("[")[0]
    if head in ("list", "tuple"):
        return "array"
    if head == "Literal":
        return "str" if annotation.startswith('Literal["') else "int"
    if annotation in _FORMATS.values():
        return "str"
    return head if head in _PLAIN.values() else "object"
