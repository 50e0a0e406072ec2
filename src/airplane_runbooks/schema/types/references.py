"""References to what only the server has: config variables and uploads."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from ..enums import ParameterType
from .base import Scalar, as_text, plain_text, register, string


class ConfigVar(msgspec.Struct, frozen=True):
    """A reference to a config variable by name; the server puts its value in."""

    name: str


class Upload(msgspec.Struct, frozen=True):
    """A reference to an uploaded file by the upload's ID. `url`, where to read it, comes from a server only."""

    id: str
    url: str | None = None


class Reference(Scalar):
    """Base of both kinds."""

    def show(self, value: Any) -> str | None:
        """Return the name or ID, None if there is more to the reference."""
        parts = value if isinstance(value, dict) else {"id": value}
        rest = {key: item for key, item in parts.items() if key not in ("__airplaneType", "id", "name") and item}
        name = str(parts.get("id") or parts.get("name") or "")
        return None if rest or name != name.strip() else name


@register
class ConfigVarType(Reference):
    """A config variable."""

    name = ParameterType.CONFIGVAR
    python = ConfigVar
    wanted = "a config variable"
    hint = "The name of a config variable."

    def encode(self, value: Any) -> Any:
        """Return the reference as an object."""
        return {"__airplaneType": "configvar", "name": plain_text(value.name)}

    def convert(self, value: Any) -> Any:
        """Return the reference that an object or a bare name makes."""
        return ConfigVar(string(_parts(value, "configvar").get("name") if isinstance(value, dict) else value))

    def text_to_match(self, value: Any) -> str | None:
        """Return the name."""
        return str(value.name)

    def label(self, value: Any) -> str:
        """Return the name."""
        return as_text(value["name"] if isinstance(value, dict) else value)


@register
class UploadType(Reference):
    """An uploaded file."""

    name = ParameterType.UPLOAD
    python = Upload
    wanted = "an upload"
    hint = "The ID of an upload."

    def encode(self, value: Any) -> Any:
        """Return the ID."""
        return plain_text(value.id)

    def convert(self, value: Any) -> Any:
        """Return the reference that an object or a bare ID makes."""
        if not isinstance(value, dict):
            return Upload(string(value))
        parts = _parts(value, "upload")
        url = parts.get("url")
        return Upload(string(parts.get("id")), url if url is None else string(url))

    def identity(self, value: Any) -> Hashable:
        """Return the ID: the same file may be read from several addresses."""
        return type(value), value.id


def _parts(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if value.get("__airplaneType") != kind:
        raise ValueError
    return value
