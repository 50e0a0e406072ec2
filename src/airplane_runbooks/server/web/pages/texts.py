"""Scalars as texts, as people read and type them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

import msgspec

from ....models import ParameterType, parse_timestamp
from ....schema.scalars import calendar_day
from ...authoring.spelling import exact_float

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ]((?:[01]\d|2[0-3]):\d{2}(?::\d{2}(?:\.\d{1,6})?)?)Z?", re.ASCII
)  # Python 3.14 takes 24:00 for the next day
_FLAGS = {"true": True, "false": False, "yes": True, "no": False}


class Unreadable(Exception):
    """What was typed is no value. The message tells the person what to type instead, and shows nothing of it."""


def as_text(value: Any) -> str:
    """Return a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def show_scalar(kind: ParameterType, value: Any) -> str | None:
    """Return the text of a scalar JSON value, None if it has none that a control can hold."""
    if kind == ParameterType.DATE:
        return str(value)[:10]
    if kind == ParameterType.DATETIME:
        return _show_moment(value)
    if kind in (ParameterType.CONFIGVAR, ParameterType.UPLOAD):
        return _show_reference(value)
    if kind == ParameterType.INTEGER:
        return str(int(value))
    return as_text(value)


def _show_reference(value: Any) -> str | None:
    parts = value if isinstance(value, dict) else {"id": value}
    rest = {key: item for key, item in parts.items() if key not in ("__airplaneType", "id", "name") and item}
    name = str(parts.get("id") or parts.get("name") or "")
    return None if rest or name != name.strip() else name


def _show_moment(value: Any) -> str | None:
    moment = parse_timestamp(value)
    if moment is None or moment.microsecond % 1000:  # browsers take milliseconds
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


def read_text(kind: ParameterType, text: str) -> Any:
    """Return the JSON value of a scalar that somebody has typed. Raises Unreadable."""
    try:
        return READERS[kind](text)
    except (ValueError, KeyError):
        raise Unreadable(_WANTED.get(kind, "Enter a value.")) from None


def _integer(text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    text = text.strip()
    if not _DECIMAL.fullmatch(text) or not isfinite(float(text)):
        raise ValueError
    try:
        return exact_float(text)
    except ValueError:
        raise Unreadable("This number has more digits than can be kept.") from None


def _date(text: str) -> str:
    return calendar_day(text).isoformat()


def _moment(text: str) -> str:
    parts = _MOMENT.fullmatch(text.strip())
    if parts is None:
        raise ValueError
    return datetime.fromisoformat(f"{parts[1]}T{parts[2]}").isoformat() + "Z"


READERS: Mapping[ParameterType, Callable[[str], Any]] = {
    ParameterType.STRING: str,
    ParameterType.BOOLEAN: lambda text: _FLAGS[text.strip().lower()],
    ParameterType.INTEGER: _integer,
    ParameterType.FLOAT: _float,
    ParameterType.DATE: _date,
    ParameterType.DATETIME: _moment,
    ParameterType.CONFIGVAR: str.strip,
    ParameterType.UPLOAD: str.strip,
}
_WANTED = {
    ParameterType.BOOLEAN: "Enter yes or no.",
    ParameterType.INTEGER: "Enter a whole number, such as 42.",
    ParameterType.FLOAT: "Enter a number, such as 2.5.",
    ParameterType.DATE: "Enter a date, such as 2024-01-31.",
    ParameterType.DATETIME: "Enter a date and a time, such as 2024-01-31 16:30.",
}
HINTS = {
    ParameterType.BOOLEAN: "Yes or no.",
    ParameterType.INTEGER: "A whole number.",
    ParameterType.FLOAT: "A number.",
    ParameterType.DATETIME: "In UTC.",
    ParameterType.CONFIGVAR: "The name of a config variable.",
    ParameterType.UPLOAD: "The ID of an upload.",
}
