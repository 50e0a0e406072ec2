"""The query of a call: what is read of it, and what is refused by the parameter's name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from ....models import parse_timestamp
from ...errors import Invalid

_LONGEST_NAME = 50  # characters of a name in a message


def read_query(query: bytes) -> Mapping[str, str]:
    """Return the parameters of a query by their names; of several of one name, the last. Raises Invalid."""
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
        refuse(name, "expected UTF-8")
    if "\0" in text:
        refuse(name, "expected no NUL character")
    return text


def refuse(name: str, reason: str) -> NoReturn:
    """Refuse a call for one of its parameters."""
    raise Invalid("invalid_query", f"{name[:_LONGEST_NAME]}: {reason}")


def number(query: Mapping[str, str], name: str, largest: int) -> int:
    """Read a number from 0 to `largest`, 0 if there is none. Raises Invalid."""
    text = query.get(name)
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= largest):
        refuse(name, f"expected an integer from 0 to {largest}")
    return int(text)


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """Read a time. Raises Invalid."""
    text = query.get(name, "")
    if "T" in text and text[-6:-5] == " ":  # the plus sign of an offset that nobody escaped
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        refuse(name, "expected a time (RFC 3339)")
