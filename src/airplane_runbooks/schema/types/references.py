"""References to what only the server has: config variables and uploads."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, BinaryIO

import msgspec

from ...errors import ConfigurationError
from ..enums import ParameterType
from .base import Scalar, as_text, plain_text, register, string


class ConfigVar(msgspec.Struct, frozen=True):
    """A config variable, which goes over the wire by its name.

    Attributes:
        name: The name.
        value: The value, which a server puts in for the runbook or task; empty elsewhere.
    """

    name: str
    value: str = ""

    def __repr__(self) -> str:
        return f"ConfigVar({self.name!r})"


class Upload(msgspec.Struct, frozen=True):
    """An uploaded file, which goes over the wire by its ID. All but the ID comes from a server only.

    Attributes:
        id: The ID.
        url: Where to read the file, if the server says so.
        name: Name of the file.
        size: Number of its bytes.
    """

    id: str
    url: str | None = None
    name: str = ""
    size: int | None = None

    def open(self) -> BinaryIO:
        """Open the file for reading, in a runbook or a task that has it as an argument or an answer.

        It can be read from any position, and takes little memory however large it is.

        Raises:
            ConfigurationError: This is not where the file is.
        """
        raise ConfigurationError("an upload is opened in the runbook or task that gets it, not by a client")


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
        if not isinstance(value, dict):
            return ConfigVar(string(value))
        parts = _parts(value, "configvar")
        return ConfigVar(string(parts.get("name")), string(parts.get("value", "")))

    def identity(self, value: Any) -> Hashable:
        """Return the name."""
        return type(value), value.name

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
        size = parts.get("sizeBytes")
        return Upload(
            string(parts.get("id")),
            url if url is None else string(url),
            string(parts.get("fileName", "")),
            size if size is None else int(size),
        )

    def identity(self, value: Any) -> Hashable:
        """Return the ID: the same file may be read from several addresses."""
        return type(value), value.id


def _parts(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if value.get("__airplaneType") != kind:
        raise ValueError
    return value
