"""Routes of the API: each path of the server is written here or in the tables below it, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .command_line import COMMAND_LINE
from .extensions import EXTENSIONS
from .handlers import OPERATIONS, Handler
from .objects import OBJECTS, ObjectOperation
from .uploads import create_upload, get_upload, write_upload

API_PREFIX = "/v0"
EXTENSIONS_PREFIX = "/ext/v0"


class ApiRoute(NamedTuple):
    """Route of one operation; `path` begins with the prefix that its table has."""

    method: str
    path: str
    handler: Handler | ObjectOperation


_TABLES: Mapping[str, Mapping[tuple[str, str], Handler | ObjectOperation]] = {
    API_PREFIX: {
        **OPERATIONS,
        **OBJECTS,
        **COMMAND_LINE,
        ("POST", "/uploads/create"): create_upload,
        ("GET", "/uploads/get"): get_upload,
    },
    EXTENSIONS_PREFIX: {**EXTENSIONS, ("POST", "/uploads/write"): write_upload},
}

API_ROUTES: Mapping[str, tuple[ApiRoute, ...]] = {
    prefix: tuple(ApiRoute(method, prefix + path, handler) for (method, path), handler in operations.items())
    for prefix, operations in _TABLES.items()
}
"""Routes by the prefix that they are mounted at."""


def is_below_api(path: str) -> bool:
    """Tell whether a path is one of the API's, known or unknown."""
    return path.startswith(tuple(f"{prefix}/" for prefix in API_ROUTES))
