"""Calls of the API that have missed it: clients whose base URL lacks the version get no page meant for people."""

from __future__ import annotations

from starlette.requests import Request

from ..errors import NotFound
from .api.command_line import COMMAND_LINE
from .api.endpoint import keys_of
from .api.extensions import EXTENSIONS
from .api.handlers import OPERATIONS
from .proxies import path_below_base

_PATHS = frozenset(path for _, path in (*OPERATIONS, *COMMAND_LINE, *EXTENSIONS))


def is_meant_for_api(request: Request) -> bool:
    """Tell whether a request outside of the API was meant for it."""
    accepted = request.headers.get("accept", "").lower()
    wants_json = "json" in accepted and "html" not in accepted
    path = path_below_base(request)
    return path in _PATHS or (path != "/sign-in" and (wants_json or bool(keys_of(request))))


def misrouted_error(request: Request) -> NotFound:
    """Return a refusal that says where the API is."""
    path = path_below_base(request)[:100]
    message = f"this server has no route {request.method} {path}: the API is below /v0, its extensions below /ext/v0"
    return NotFound("route_not_found", message)
