"""The Python values of single JSON values, by the type of their parameter. Pure: no I/O, no state."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from .encoding import ConfigVar, Refusal, Upload
from .enums import ParameterType
from .timestamps import parse_moment

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# RFC 3339 and the form of PostgreSQL; the seconds and the zone may be missing. Python alone would take much more.
_MOMENT = re.compile(
    _DATE.pattern + r"[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)? ?([Zz]|[+-]\d{2}(:?\d{2}(:?\d{2})?)?)?", re.ASCII
)
_FIRST_INEXACT = 2**53  # from here on, one float stands for several integers
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


class Misfit(Refusal):
    """A value that does not fit its parameter. The message shows nothing of the value, which may be secret."""


def wrong(wanted: str, value: Any) -> Misfit:
    """Return a refusal that names the kind of the value in place of it."""
    return Misfit(f"expected {wanted}, got {_KINDS.get(type(value), 'null')}")


def array(value: Any) -> list[Any]:
    """Return a JSON array."""
    if not isinstance(value, list):
        raise wrong("an array", value)
    return value


def object_(value: Any) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise wrong("an object", value)
    return value


def read_scalar(kind: ParameterType, value: Any) -> Any:
    """Return the Python value of one that is not made of others; as it is, if the type does not say what it is."""
    if (reader := _SCALARS.get(kind)) is None:
        return value
    wanted, convert = reader
    try:
        return convert(value)
    except (ValueError, TypeError, OverflowError):
        raise wrong(wanted, value) from None


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    # JSON has one kind of number: some encoders write 2.0 where others write 2
    number = int(_number(value))
    if number != value or (isinstance(value, float) and abs(value) >= _FIRST_INEXACT):
        raise ValueError
    return number


def _float(value: Any) -> float:
    number = float(_number(value))
    if number != value:
        raise Misfit("the number has more digits than a float holds")
    return number


def calendar_day(text: str) -> date:
    """Read a date written `YYYY-MM-DD`, one of many forms that Python knows. Raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def _date(value: Any) -> date:
    text = _string(value)
    if len(text) > 10:
        _datetime(text)  # clients that know no dates send midnight with an offset; its calendar day is what they mean
    return calendar_day(text[:10])


def _datetime(value: Any) -> datetime:
    text = _string(value)
    moment = parse_moment(text) if _MOMENT.fullmatch(text) else None
    if moment is None:
        raise ValueError
    return moment


def _config_var(value: Any) -> ConfigVar:
    return ConfigVar(_string(_reference(value, "configvar").get("name")) if isinstance(value, dict) else _string(value))


def _upload(value: Any) -> Upload:
    if not isinstance(value, dict):
        return Upload(_string(value))
    parts = _reference(value, "upload")
    url = parts.get("url")
    return Upload(_string(parts.get("id")), url if url is None else _string(url))


def _reference(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if value.get("__airplaneType") != kind:
        raise ValueError
    return value


_SCALARS: dict[ParameterType, tuple[str, Callable[[Any], Any]]] = {
    ParameterType.STRING: ("a string", _string),
    ParameterType.BOOLEAN: ("a boolean", _boolean),
    ParameterType.INTEGER: ("an integer", _integer),
    ParameterType.FLOAT: ("a number", _float),
    ParameterType.DATE: ("a date (YYYY-MM-DD)", _date),
    ParameterType.DATETIME: ("a time (RFC 3339)", _datetime),
    ParameterType.CONFIGVAR: ("a config variable", _config_var),
    ParameterType.UPLOAD: ("an upload", _upload),
}
TYPED = {*_SCALARS, ParameterType.LIST, ParameterType.MAP, ParameterType.OBJECT}
