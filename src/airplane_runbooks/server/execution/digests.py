"""Digests of the arguments of steps and the fields of prompts, compared on replay."""

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
    """Makes and compares the digests of one session's values. They are keyed, since values may be secret."""

    def __init__(self, vault: Vault, run_id: str) -> None:
        self._vault = vault
        self._salt = run_id.encode() + b" "  # so that equal values of two sessions have different digests

    def make(self, values: Mapping[str, Any], volatile: Collection[str] = ()) -> bytes:
        """Return the digest of each value by its name, as JSON; null for values that may differ."""
        made = {
            name: None if name in volatile else self._vault.digest(_PURPOSE, self._salt + canonical(value)).hex()
            for name, value in values.items()
        }
        return msgspec.json.encode(made)

    def differing(
        self, recorded: bytes | None, values: Mapping[str, Any], volatile: Collection[str] = ()
    ) -> Mapping[str, str]:
        """Return the names of values that differ from those recorded, each with its recorded name.

        Functions may rename their parameters: a new name is compared with a recorded one that is gone. Values that
        were recorded without a digest, or with a key that this server does not have, are not compared.
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
    """Return bytes that are the same for equal values, on every Python and in every process.

    They are JSON with sorted keys and sets. A value without a form in JSON counts by its type alone.
    """
    try:
        try:
            text = json.dumps(value, sort_keys=True, default=_plain)
        except TypeError:  # keys that are not strings, or are of several types
            text = json.dumps(_with_text_keys(value), sort_keys=True, default=_plain)
    except Exception:  # noqa: BLE001 - it may contain itself, and objects may raise anything
        text = _type_of(value)
    return text.encode()


def _plain(value: Any) -> Any:
    """Return a value closer to JSON for one that JSON does not have."""
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
