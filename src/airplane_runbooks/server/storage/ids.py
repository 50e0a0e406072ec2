"""Identifiers and timestamps in the API's spelling."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from hashlib import blake2b

from . import clock

_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"
_TAIL = 10
_TAILS = len(_DIGITS) ** _TAIL

# Runbooks and tasks have no day of creation, and their IDs must be the same on every start of every server.
_TIMELESS = "20240101"


def new_seed() -> str:
    """Return the rest of a random ID after its prefix: today's date (UTC) and a tail, such as `20240131zk3j9x0q2ab`."""
    return f"{now():%Y%m%d}z{_tail(secrets.randbelow(_TAILS))}"


def new_id(prefix: str) -> str:
    """Return a random ID, such as `ses20240131zk3j9x0q2ab`."""
    return prefix + new_seed()


def stable_id(prefix: str, text: str) -> str:
    """Return the ID of `text`, which is always the same."""
    digest = int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")
    return f"{prefix}{_TIMELESS}z{_tail(digest % _TAILS)}"


def _tail(number: int) -> str:
    letters = []
    for _ in range(_TAIL):
        number, digit = divmod(number, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return "".join(letters)


def now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.fromtimestamp(clock.seconds(), UTC)


def stamp(moment: datetime | None) -> str | None:
    """Write a UTC time as RFC 3339 with at most six fraction digits and a literal `Z`: the form all clients read."""
    return None if moment is None else moment.replace(tzinfo=None).isoformat() + "Z"


TEAM = stable_id("tea", "local")
API_USER = stable_id("usr", "api")
