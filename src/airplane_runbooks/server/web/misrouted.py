"""API calls that miss the API, since the base URL lacks the version: they get an error in JSON, not a page."""

from __future__ import annotations

from starlette.requests import Request

from ..errors import NotFound
from .api.authentication import api_keys_of
from .api.routes import API_PREFIX, API_ROUTES, EXTENSIONS_PREFIX
from .scope import path_below_base

_PATHS_WITHOUT_PREFIX = frozenset(
    route.path.removeprefix(prefix) for prefix, routes in API_ROUTES.items() for route in routes
)


def is_meant_for_api(request: Request) -> bool:
    """Tell whether a request outside of the API was meant for it."""
    accepted = request.headers.get("accept", "").lower()
    wants_json = "json" in accepted and "html" not in accepted
    path = path_below_base(request)
    return path in _PATHS_WITHOUT_PREFIX or (path != "/sign-in" and (wants_json or bool(api_keys_of(request))))


def misrouted_error(request: Request) -> NotFound:
    """Return an error that says where the API is."""
    path = path_below_base(request)[:100]
    message = (
        f"this server has no route {request.method} {path}: the API is below {API_PREFIX}, "
        f"its extensions below {EXTENSIONS_PREFIX}"
    )
    return NotFound("route_not_found", message)
