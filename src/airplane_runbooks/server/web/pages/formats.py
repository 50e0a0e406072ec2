"""Formats of times, durations and values on pages. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ....models import Parameter
from ....models.tables import Table, table_of
from ....schema.types import type_of
from ....schema.types.references import Upload
from ...storage.encoding import decode
from ...storage.rows import LEFT_OUT

_LONGEST = 32 * 1024  # bytes of JSON on a page; what is longer is left to the API
_BEGINNING = 2_000  # bytes that are shown of a longer output
_LONGEST_MARKDOWN = 10_000  # characters; a page may have a hundred of them
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_REFERENCES = ("configvar", "upload")
_UPLOAD = {field.name for field in msgspec.structs.fields(Upload)}  # as an argument of a step has them
_FOLD_LINES = 12
_FOLD_CHARACTERS = 600


class DisplayValue(msgspec.Struct, frozen=True):
    """Value on a page: its text, whether it is code, and the summary to show if it is folded.

    `table` takes the place of the text if there is one. `is_cut` is True if not all of the value is shown, and
    `is_markdown` if the text is Markdown. `files` are the IDs and names of uploads, which take the place of the text.
    """

    text: str
    is_code: bool = False
    summary: str = ""
    table: Table | None = None
    is_cut: bool = False
    is_markdown: bool = False
    files: Sequence[tuple[str, str]] = ()


def format_time(moment: datetime) -> str:
    """Return a UTC time to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def plain(text: str) -> str:
    """Escape bidirectional controls, for places where no HTML element can isolate the text."""
    return _BIDI_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def format_duration(duration: timedelta) -> str:
    """Return a duration in its two largest units, a short one in seconds or milliseconds."""
    seconds = max(duration.total_seconds(), 0.0)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min {whole % 60} s"
    if not days:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def describe_value(value: Any) -> DisplayValue:
    """Describe a JSON value: strings as they are, config variables and uploads by their names, others as JSON."""
    value = _named(value)
    if not isinstance(value, str) or not value:
        return _json(msgspec.json.encode(value))
    if len(value) > _LONGEST:
        return DisplayValue(f"{len(value):,} characters: too long for this page; the API returns it.")
    return _folded(value, is_code=False)


def _named(value: Any) -> Any:
    """Return a JSON value in which the name takes the place of each config variable and upload."""
    if isinstance(value, list):
        return [_named(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("__airplaneType") in _REFERENCES or (value.keys() == _UPLOAD and str(value["id"]).startswith("upl")):
        return value.get("fileName") or value.get("name") or value.get("id")
    return {name: _named(one) for name, one in value.items()}


def describe_answer(parameter: Parameter, value: Any) -> DisplayValue:
    """Write the value of a parameter: an option with its label, others as their types or `describe_value` do."""
    if type_of(parameter.type).python is Upload and value is not None:
        uploads = value if isinstance(value, list) else [value]
        if uploads and all(isinstance(one, dict) and "id" in one for one in uploads):
            return DisplayValue("", files=[(one["id"], one.get("fileName") or one["id"]) for one in uploads])
    text = None if parameter.multi else _labelled(parameter, value) or type_of(parameter.type).display(value)
    return describe_value(value) if text is None else DisplayValue(text)


def _labelled(parameter: Parameter, value: Any) -> str | None:
    """Return the label under which a form offers a value, and the value; None if it has no other label."""
    plain = type_of(parameter.type).label
    for option in parameter.constraints.options or ():
        if isinstance(option, dict) and "value" in option and option["value"] == value:
            label = str(option.get("label") or "")
            return f"{label} ({plain(value)})" if label and label != plain(value) else None
    return None


def describe_json(document: bytes) -> DisplayValue:
    """Describe a JSON document as `describe_value` does, unless it is too long."""
    if document == LEFT_OUT:
        return DisplayValue("Too long for this page; the API returns it.")
    if len(document) > _LONGEST:
        return DisplayValue(f"{len(document):,} bytes of JSON: too long for this page; the API returns it.")
    return describe_value(decode(document))


def describe_output(document: bytes) -> DisplayValue:
    """Describe the JSON of an output: a list of flat objects as a table, and of a long one only the beginning."""
    if document == LEFT_OUT:
        return DisplayValue("Too long for this page.", is_cut=True)
    value = decode(document)
    table = table_of(value)
    if table is not None:
        return DisplayValue("", table=table, is_cut=table.is_cut)
    if len(document) > _LONGEST:
        beginning = document[:_BEGINNING].decode(errors="ignore")
        return DisplayValue(f"{beginning}… ({len(document):,} bytes in all)", is_code=True, is_cut=True)
    return describe_value(value)


def describe_display(document: bytes) -> DisplayValue:
    """Describe the JSON of what a runbook shows: a text as Markdown unless it is long, other values as outputs."""
    if document != LEFT_OUT and isinstance(value := decode(document), str) and len(value) <= _LONGEST_MARKDOWN:
        return DisplayValue(value, is_markdown=True)
    return describe_output(document)


def describe_members(document: bytes) -> Mapping[str, DisplayValue]:
    """Describe the members of a JSON object one by one."""
    if document == LEFT_OUT or len(document) > _LONGEST:
        return {"…": describe_json(document)}
    return {name: describe_value(value) for name, value in decode(document, type=dict[str, Any]).items()}


def _json(document: bytes) -> DisplayValue:
    if len(document) > _LONGEST:
        return describe_json(document)
    plain = document.decode()
    return _folded(plain if len(plain) <= 60 else msgspec.json.format(document, indent=2).decode(), is_code=True)


def _folded(text: str, *, is_code: bool) -> DisplayValue:
    lines = text.count("\n") + 1
    if lines > _FOLD_LINES:
        return DisplayValue(text, is_code, f"{lines:,} lines")
    if len(text) > _FOLD_CHARACTERS:
        return DisplayValue(text, is_code, f"{len(text):,} characters")
    return DisplayValue(text, is_code)
