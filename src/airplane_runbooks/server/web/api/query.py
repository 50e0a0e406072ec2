"""Query of a call: parsing, with errors that name the parameter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from ....models import parse_timestamp
from ...errors import Invalid

_LONGEST_NAME = 50  # characters of a name in a message


def read_query(query: bytes) -> Mapping[str, str]:
    """Return the parameters of a query by name. The last one of a name counts. Raises Invalid."""
    found: dict[str, str] = {}
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.partition(b"=")
        key = _text(name, "query")
        found[key] = _text(value, key)
    return found


def _text(escaped: bytes, name: str) -> str:
    try:
        text = unquote_to_bytes(escaped.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        invalid_parameter(name, "expected UTF-8")
    if "\0" in text:
        invalid_parameter(name, "expected no NUL character")
    return text


def invalid_parameter(name: str, reason: str) -> NoReturn:
    """Raise Invalid for a parameter."""
    raise Invalid("invalid_query", f"{name[:_LONGEST_NAME]}: {reason}")


def parse_number(query: Mapping[str, str], name: str, largest: int) -> int:
    """Return a number from 0 to `largest`, 0 if it is absent. Raises Invalid."""
    text = query.get(name)
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= largest):
        invalid_parameter(name, f"expected an integer from 0 to {largest}")
    return int(text)


def parse_time(query: Mapping[str, str], name: str) -> datetime | None:
    """Return a time, None if it is absent. Raises Invalid."""
    text = query.get(name, "")
    if "T" in text and text[-6:-5] == " ":  # the client did not escape the plus sign of an offset
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        invalid_parameter(name, "expected a time (RFC 3339)")
