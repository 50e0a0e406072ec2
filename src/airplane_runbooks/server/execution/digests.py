"""Digests of what a step was called with and of what a prompt asked, to know on replay whether they are the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ..logs import class_name
from ..secrets.vault import Vault
from ..storage.encoding import decode

_PURPOSE = "argument"


class Digests:
    """Makes and compares the digests of one session's values. They are keyed, for what is secret counts as well."""

    def __init__(self, vault: Vault, run_id: str) -> None:
        self._vault = vault
        self._salt = run_id.encode() + b" "  # so that nobody sees in which sessions a value was the same

    def make(self, values: Mapping[str, Any], volatile: Collection[str] = ()) -> bytes:
        """Return the digest of each value by its name, as JSON; null for those that may differ."""
        made = {
            name: None if name in volatile else self._vault.digest(_PURPOSE, self._salt + canonical(value)).hex()
            for name, value in values.items()
        }
        return msgspec.json.encode(made)

    def differing(
        self, recorded: bytes | None, values: Mapping[str, Any], volatile: Collection[str] = ()
    ) -> Mapping[str, str]:
        """Return the names of values that are others than those recorded, each with the name it was recorded by.

        A name that only one of both has is taken for a new one of its place: functions may rename their parameters.
        What was recorded without a digest, or with a key that is not here, is not compared.
        """
        if recorded is None:
            return {}
        digests: dict[str, str | None] = decode(recorded)
        gone = [name for name in digests if name not in values and name not in volatile]
        pairs = {name: name if name in digests else gone.pop(0) if gone else "" for name in values}
        differing = {
            name: before
            for name, before in pairs.items()
            if name not in volatile and not (before and self._same(digests[before], values[name]))
        }
        return differing | {name: name for name in gone if digests[name] is not None}

    def _same(self, recorded: str | None, value: Any) -> bool:
        if recorded is None:
            return True
        return self._vault.matches(bytes.fromhex(recorded), _PURPOSE, self._salt + canonical(value)) is not False


def canonical(value: Any) -> bytes:
    """Return a text that is the same for equal values, on every Python and in every process.

    It is JSON with its keys and sets in order. A value without a form in JSON counts by its type alone.
    """
    try:
        try:
            text = json.dumps(value, sort_keys=True, default=_plain)
        except TypeError:  # because of keys that are no text, or of several types
            text = json.dumps(_with_text_keys(value), sort_keys=True, default=_plain)
    except Exception:  # noqa: BLE001 - it may contain itself, and objects may raise what they like
        text = _type_of(value)
    return text.encode()


def _plain(value: Any) -> Any:
    """Return one step on the way to JSON for what is not of JSON itself."""
    try:
        if isinstance(value, set | frozenset):
            return sorted(canonical(item).decode() for item in value)
        if (fields := _fields(type(value))) is not None:
            return {name: _with_text_keys(getattr(value, name)) for name in fields if hasattr(value, name)}
        return decode(msgspec.json.encode(value))
    except Exception:  # noqa: BLE001 - as above
        return _type_of(value)


def _fields(kind: type) -> Collection[str] | None:
    """Return the names of the fields of a data class, struct or attrs class."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if (names := getattr(kind, "__struct_fields__", None)) is not None:
        return list(names)
    attributes = getattr(kind, "__attrs_attrs__", None)
    return None if attributes is None else [attribute.name for attribute in attributes]


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list | tuple) else value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else f"\0{canonical(key).decode()}"  # 1 and "1" are two keys


def _type_of(value: Any) -> str:
    return f"<{class_name(type(value))}>"
