"""Bounds on the size and the decoding time of a reply.

msgspec holds the interpreter while it decodes and cannot be interrupted, so a slow decode must not be started.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

MAX_ITEMS = 1_000  # of one list
MAX_OBJECTS = 20_000  # read one by one, in one reply
MAX_BYTES = 16 * 1024 * 1024

# Smaller documents always decode fast enough.
LIGHT = 8 * 1024
_LONGEST = 50e6  # nanoseconds

# Nanoseconds that msgspec 0.22 takes at most for each of these, measured with documents that hold nothing else; with
# Python's garbage collector for each array and object, and with Python's own reader for a number with an exponent.
_BYTE, _COMMA, _COLON, _OPENING, _EXPONENT, _LONG_DIGIT = 2.5, 40, 100, 300, 1_400, 60

# msgspec's own reader takes 20 us for 1e300, a number that comes up by the thousand in hostile replies only.
_MANY_EXPONENTS = 500

_OTHERS = bytes(set(range(256)) - set(b",:[{eE"))
_ALL_DIGITS_ALIKE = bytes.maketrans(b"0123456789", b"0000000000")
_LONG_NUMBER = b"0" * 30
_LONG_NUMBERS_MATTER = 256 * 1024  # bytes
_MOST_STRINGS = 300_000  # a list of so many items takes up the time by itself


class TooMuch(msgspec.ValidationError):
    """A reply that exceeds a bound."""


class OutOfTime(Exception):
    """The deadline of the call passed before the reply was read."""


def never() -> bool:
    """Return False: there is no deadline."""
    return False


class Allowance:
    """Budget that is left for reading one reply.

    Attributes:
        careful: True if Python must read the numbers, because msgspec may take too long for them.
    """

    __slots__ = ("_is_late", "_left", "careful")

    def __init__(self, raw: bytes, is_late: Callable[[], bool] = never) -> None:
        self.careful = len(raw) > LIGHT and weigh(raw)
        self._is_late = is_late
        self._left = MAX_OBJECTS

    def spend(self) -> None:
        """Count an object. Raises TooMuch beyond the bound, and checks the deadline now and then (OutOfTime)."""
        self._left -= 1
        if self._left < 0:
            raise TooMuch(f"the reply holds more than {MAX_OBJECTS:,} objects")
        if not self._left % 64 and self._is_late():
            raise OutOfTime


def check_length(name: str, length: int) -> None:
    """Raise TooMuch, naming the list, if a list is too long."""
    if length > MAX_ITEMS:
        raise TooMuch(f"`{name}` has {length:,} items; at most {MAX_ITEMS:,} are read")


def weigh(raw: bytes) -> bool:
    """Raise TooMuch if decoding the document may take more than 50 ms. Return True if Python must read its numbers."""
    if len(raw) > MAX_BYTES:
        raise TooMuch(f"the body has {len(raw):,} bytes; at most {MAX_BYTES:,} are decoded")
    skeleton = raw.translate(None, _OTHERS)
    exponents = skeleton.count(b"e") + skeleton.count(b"E")
    if _nanoseconds(raw, skeleton, exponents, _long_digits(raw)) <= _LONGEST:
        return exponents > _MANY_EXPONENTS
    # Brackets and commas inside of strings were counted too, so count again without the strings.
    parts = raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', 2 * _MOST_STRINGS)
    if len(parts) > 2 * _MOST_STRINGS:
        raise _too_long(raw)
    bare = b"".join(parts[::2])
    exponents = bare.count(b"e") + bare.count(b"E") - bare.count(b"true") - bare.count(b"false")
    if _nanoseconds(raw, bare, exponents, _long_digits(bare)) > _LONGEST:
        raise _too_long(raw)
    return exponents > _MANY_EXPONENTS


def _long_digits(text: bytes) -> int:
    """Count the digits of numbers that do not fit a machine word."""
    if len(text) <= _LONG_NUMBERS_MATTER:
        return 0
    return text.translate(_ALL_DIGITS_ALIKE).count(_LONG_NUMBER) * len(_LONG_NUMBER)


def _nanoseconds(raw: bytes, structure: bytes, exponents: int, long_digits: int) -> float:
    openings = structure.count(b"[") + structure.count(b"{")
    of_structure = _COMMA * structure.count(b",") + _COLON * structure.count(b":") + _OPENING * openings
    return _BYTE * len(raw) + of_structure + _EXPONENT * exponents + _LONG_DIGIT * long_digits


def _too_long(raw: bytes) -> TooMuch:
    return TooMuch(f"the body of {len(raw):,} bytes holds too many values to decode in one go")
