"""Dates and times."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from ..enums import ParameterType
from ..problems import NotEncodable
from ..timestamps import parse_moment, parse_timestamp, utc_text
from .base import Scalar, register, string

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# RFC 3339 and the form of PostgreSQL; the seconds and the zone may be missing. Python alone would take much more.
_MOMENT = re.compile(
    _DATE.pattern + r"[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)? ?([Zz]|[+-]\d{2}(:?\d{2}(:?\d{2})?)?)?", re.ASCII
)
_TYPED_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ]((?:[01]\d|2[0-3]):\d{2}(?::\d{2}(?:\.\d{1,6})?)?)Z?", re.ASCII
)  # Python 3.14 takes 24:00 for the next day


@register
class DateTimeType(Scalar):
    """A moment, in UTC."""

    name = ParameterType.DATETIME
    python = datetime
    wanted = "a time (RFC 3339)"
    enum_members = "times"
    control = "datetime"
    hint = "In UTC."
    instruction = "Enter a date and a time, such as 2024-01-31 16:30."

    def encode(self, value: Any) -> Any:
        """Return the moment in UTC with a literal `Z`. Raises NotEncodable without a time zone."""
        try:
            return utc_text(value)
        except ValueError as problem:
            raise NotEncodable(str(problem)) from None

    def convert(self, value: Any) -> Any:
        """Return the moment, aware and in UTC."""
        return _moment(string(value))

    def convert_text(self, text: str) -> Any:
        """Return the moment that people have typed, in UTC."""
        parts = _TYPED_MOMENT.fullmatch(text.strip())
        if parts is None:
            raise ValueError
        return datetime.fromisoformat(f"{parts[1]}T{parts[2]}").isoformat() + "Z"

    def show(self, value: Any) -> str | None:
        """Return the moment in UTC, None if it is finer than the milliseconds that browsers take."""
        moment = parse_timestamp(value)
        if moment is None or moment.microsecond % 1000:
            return None
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


@register
class DateType(Scalar):
    """A calendar day."""

    name = ParameterType.DATE
    python = date
    wanted = "a date (YYYY-MM-DD)"
    enum_members = "dates"
    control = "date"
    instruction = "Enter a date, such as 2024-01-31."

    def encode(self, value: Any) -> Any:
        """Return the day as `YYYY-MM-DD`."""
        return value.isoformat()

    def convert(self, value: Any) -> Any:
        """Return the day. Clients that know no dates send midnight with an offset, and mean its calendar day."""
        text = string(value)
        if len(text) > 10:
            _moment(text)
        return _calendar_day(text[:10])

    def convert_text(self, text: str) -> Any:
        """Return the day that people have typed."""
        return _calendar_day(text).isoformat()

    def show(self, value: Any) -> str | None:
        """Return the day."""
        return str(value)[:10]


def _calendar_day(text: str) -> date:
    """Read a date written `YYYY-MM-DD`, one of many forms that Python knows. Raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def _moment(text: str) -> datetime:
    """Read a time in one of the forms that the API documents. Raises ValueError."""
    if not _MOMENT.fullmatch(text):
        raise ValueError
    return parse_moment(text)
