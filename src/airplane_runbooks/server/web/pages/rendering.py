"""From templates to HTML: one environment for each application, in which everything is escaped."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .formats import format_duration, format_time, plain

_HERE = Path(__file__).parent
_TYPES = {"runbooks.css": "text/css; charset=utf-8", "runbooks.svg": "image/svg+xml"}


class Asset(NamedTuple):
    """A file that pages refer to. The version changes with the content, so that browsers may keep it for good."""

    content: bytes
    media_type: str
    version: str


def load_assets() -> dict[str, Asset]:
    """Return the assets by their names."""
    contents = {name: (_HERE / "static" / name).read_bytes() for name in _TYPES}
    return {name: Asset(body, _TYPES[name], sha256(body).hexdigest()[:12]) for name, body in contents.items()}


def load_templates(asset_url: Callable[[str], str]) -> Environment:
    """Return the environment of the templates. `asset_url` says where an asset is, below the application's root."""
    environment: Environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {"time": format_time, "duration": format_duration, "plain": plain}
    environment.filters.update(filters)
    names: dict[str, Any] = {"asset_url": asset_url}
    environment.globals.update(names)
    return environment
