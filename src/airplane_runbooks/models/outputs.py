"""Outputs of sessions, which are any JSON, as values of types that callers choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from ..errors import ConfigurationError
from .base import decoder_of
from .decoding import decode_any

# Servers of this package put it in the place of a secret.
MASK = "********"


def output_reader(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that reads the JSON of an output as a type: any that msgspec reads from JSON.

    It raises msgspec.ValidationError, with the path, for an output that does not fit, and says so if a masked secret is
    the reason; otherwise it raises as `decode_any` does. Raises ConfigurationError for a type that cannot be read.
    """
    if kind is Any:
        return decode_any
    try:
        return partial(_read, decoder_of(kind))
    except (TypeError, NameError) as problem:
        raise ConfigurationError(f"a result cannot be read as {kind!r}: {problem}") from None


def _read(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as problem:
        text = str(problem)
    hint = "; a secret is masked there" if any(map(_has_mask, _found_at(_path(text), decode_any(raw)))) else ""
    raise msgspec.ValidationError(text + hint)


def _has_mask(value: Any) -> bool:
    return isinstance(value, str) and MASK in value


def _path(text: str) -> str:
    """Return the path in a message such as "Expected `int`, got `str` - at `$.rows[3].total`", without the `$`."""
    return text.rpartition("`$")[2].rstrip("`") if "`$" in text else ""


def _found_at(path: str, value: Any) -> Iterator[Any]:
    """Yield what a path may stand for: it has `[...]` for any member of a map, and members' names may have dots."""
    if not path:
        yield value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _found_below(f"[{number}]", path, item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _found_below(f".{name}", path, item)
            yield from _found_below("[...]", path, item)


def _found_below(step: str, path: str, value: Any) -> Iterator[Any]:
    if path.startswith(step):
        yield from _found_at(path.removeprefix(step), value)
