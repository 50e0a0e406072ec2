"""Authentication of calls of the API by their key."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import ApiError, Unauthorized
from ...service.identity import Users
from ..failed_logins import FailedLoginLimiter
from ..scope import USER, client_address, mark_authenticated

logger = logging.getLogger(__name__)

API_KEY_HEADERS = ("x-airplane-api-key", "x-airplane-token")


class RequireApiKey:
    """Refuses calls without a valid API key, on every path, and before a byte of their body is read."""

    def __init__(self, app: ASGIApp, users: Users, failed_logins: FailedLoginLimiter) -> None:
        self._app = app
        self._users = users
        self._failed_logins = failed_logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with its user in the scope. Raises Unauthorized, WrongKeys."""
        if scope["type"] == "http":
            keys = api_keys_of(Request(scope))
            user = next(filter(None, map(self._users.find, keys)), None)
            if user is None:
                raise self._error(scope, keys)
            mark_authenticated(scope)
            scope = {**scope, USER: user}
        await self._app(scope, receive, send)

    def _error(self, scope: Scope, keys: Sequence[str]) -> ApiError:
        if not keys:
            return Unauthorized("unauthorized", "a valid API key is required")
        address = client_address(scope)
        error = self._failed_logins.count(keys[0], address)
        if isinstance(error, Unauthorized):  # those beyond the limit are only counted
            logger.warning("a wrong API key from %s", ascii(address))
        return error


def api_keys_of(request: Request) -> Sequence[str]:
    """Return the API keys that a request shows."""
    return [key for name in API_KEY_HEADERS if (key := request.headers.get(name))]
