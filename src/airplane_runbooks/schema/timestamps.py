"""Timestamps as servers write them, read as aware datetimes in UTC. Pure: no I/O, no state."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

# What Python's own reader does not know, such as leap seconds and small letters, or would cut off instead of rounding.
_SPELLED = (  # compiled if needed
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))? ?"
    r"(?:[Zz]|([+-])(\d{2})(?::?(\d{2}))?(?::?(\d{2}))?)?"
)


def parse_timestamp(text: str) -> datetime | None:
    """Read a timestamp in RFC 3339 or in PostgreSQL's text form (`2022-01-11 22:32:45.6+00`) as UTC.

    None stands for "not set": the empty string, and the first day of year 1, where Go's zero time is. A timestamp
    without a zone is taken as UTC, the API's only zone. A fraction is rounded to microseconds, and a leap second is
    the first one of the next minute. Raises ValueError for anything else.
    """
    if not text:
        return None
    moment = parse_moment(text)
    return None if moment.toordinal() == 1 else moment


def parse_moment(text: str) -> datetime:
    """Read a timestamp of any day, in UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _spelled_out(text)
    if text[26:27].isdigit():  # a seventh digit of a fraction
        return _spelled_out(text)
    return moment if moment.tzinfo is UTC else in_utc(moment)


def read_stamp(value: Any) -> datetime | None:
    """Return the moment of a reply's timestamp, None if it is not set or cannot be read."""
    if not value or not isinstance(value, str):
        return None
    try:
        moment = parse_moment(value)
    except ValueError:
        return None
    return None if moment.toordinal() == 1 else moment


def in_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC. Raises ValueError if it is outside of the years of a datetime there."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _out_of_range() from None


def utc_text(value: datetime) -> str:
    """Write an aware datetime in UTC with a literal `Z`. Raises ValueError, with the reason, if it has no such form."""
    if value.tzinfo is UTC:
        return value.replace(tzinfo=None).isoformat() + "Z"
    if value.utcoffset() is None:
        raise ValueError("is a datetime without a time zone")
    try:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError:
        raise ValueError("is a datetime outside of the years 1 to 9999 in UTC") from None


def _spelled_out(text: str) -> datetime:
    found = re.fullmatch(_SPELLED, text, re.ASCII)
    if found is None:
        raise ValueError("not a timestamp")
    day, *parts, fraction, sign, ahead, ahead_minutes, ahead_seconds = found.groups()
    hours, minutes, seconds = map(int, parts)
    microseconds = _microseconds(fraction)
    if (hours, minutes, seconds, microseconds) > (24, 0, 0, 0) or minutes > 59 or seconds > 60:
        raise ValueError("no such time of day")
    offset = timedelta(hours=int(ahead or 0), minutes=int(ahead_minutes or 0), seconds=int(ahead_seconds or 0))
    if offset >= timedelta(days=1):  # as Python has it
        raise ValueError("no such zone")
    clock = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC) + clock - (-offset if sign == "-" else offset)
    except OverflowError:
        raise _out_of_range() from None


def _microseconds(fraction: str | None) -> int:
    return (int((fraction or "")[:7].ljust(7, "0")) + 5) // 10


def _out_of_range() -> ValueError:
    return ValueError("the timestamp is outside of the years 1 to 9999 in UTC")
