"""Values that the web layer keeps in the ASGI scope of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

PUBLIC_ORIGIN = "airplane_runbooks.public_origin"  # origin of this server as browsers know it
BASE_PATH = "airplane_runbooks.base_path"  # path below which the application is mounted
MARK_AUTHENTICATED = "airplane_runbooks.mark_authenticated"  # function to call once the caller has shown a valid key
PARK = "airplane_runbooks.park"  # function that takes a Wait, in place of the reply
FACTS = "airplane_runbooks.facts"  # facts about a request that the access log shows
USER = "airplane_runbooks.user"  # owner of the API key of a call

Wait = Callable[[Scope, Receive], Awaitable[Response]]
"""Function that waits, and returns the reply to send then."""


def path_below_base(request: Request) -> str:
    """Return the path of a request below the application's root."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope[BASE_PATH])


def client_address(scope: Scope) -> str:
    """Return the network address of the client."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def mark_authenticated(scope: Scope) -> None:
    """Keep the connection of a request when others have to make room: its caller has shown a valid key."""
    if mark := scope.get(MARK_AUTHENTICATED):
        mark()


def note(scope: Scope, **facts: str) -> None:
    """Note facts about a request for the access log, if there is one."""
    if (noted := scope.get(FACTS)) is not None:
        noted.update(facts)
