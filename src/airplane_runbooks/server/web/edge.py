"""Outermost middleware: limits of a request's head, the host it names, and errors in JSON for all exceptions inside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import (
    ApiError,
    Closing,
    HeadTooLarge,
    InternalError,
    WrongHost,
)
from ..logs import describe
from .api.replies import error_response
from .limits import Limits
from .proxies import ProxyHeaders
from .scope import BASE_PATH, client_address, note

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
PROBE_PATHS = frozenset({"/healthz", "/readyz"})  # load balancers call them by address; there is nothing to steal


class EdgeMiddleware:
    """Refuses requests that are too large or meant for another host, and turns exceptions into replies.

    `hosts` are the host names that requests may have, in lower case and without a port; any if None. The check stops
    DNS rebinding: a page of another site whose name resolves to this machine sends that name. `roots` are the first
    segments of the application's paths.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        proxy_headers: ProxyHeaders,
        hosts: Collection[str] | None,
        roots: Collection[str],
    ) -> None:
        self._app = app
        self._limits = limits
        self._proxy_headers = proxy_headers
        self._hosts = hosts
        self._roots = roots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._check_size(scope)
            scope = self._proxy_headers.apply(scope, self._roots)
            note(scope, address=client_address(scope), path=scope["path"].removeprefix(scope[BASE_PATH]))
            self._check_host(scope)
            app = _redirect_to_root if _is_prefix_alone(scope) else self._app
            await app(scope, receive, watched_send)
        except (Exception, asyncio.CancelledError) as problem:
            if started:
                raise
            error = _as_api_error(problem, f"{scope['method']} {scope['path']}")
            await error_response(Request(scope), error)(scope, receive, send)

    def _check_size(self, scope: Scope) -> None:
        headers = scope["headers"]
        size = len(scope["path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers)
        if size > self._limits.max_head or len(headers) > self._limits.max_headers:
            raise HeadTooLarge("headers_too_large", "the request's line and headers are too large or too many")

    def _check_host(self, scope: Scope) -> None:
        host = Request(scope).headers.get("host")
        if self._hosts is None or scope["path"] in PROBE_PATHS or host is None:  # browsers always send one
            return
        if host_name(host) not in self._hosts:
            raise WrongHost("misdirected_request", "the host name of the request is not one of this server's")


def allowed_host_names(hosts: Iterable[str]) -> frozenset[str]:
    """Return these names in lower case, IPv6 addresses in brackets, and those of loopback. Raises TypeError."""
    if isinstance(hosts, str):
        raise TypeError("allowed_hosts must be a sequence of names")
    return LOOPBACK_NAMES | {
        f"[{name}]" if name.count(":") > 1 and name[0] != "[" else name for name in map(str.lower, hosts)
    }


def host_name(host: str) -> str:
    """Return a Host header's name in lower case, without the port; an IPv6 address keeps its brackets."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_prefix_alone(scope: Scope) -> bool:
    """Tell whether a browser asks for the path prefix without a slash, for which it does not send the cookie."""
    return scope["path"] == scope[BASE_PATH] != "" and scope["method"] in ("GET", "HEAD")


async def _redirect_to_root(scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"].decode("latin-1")
    response = RedirectResponse(f"{scope[BASE_PATH]}/{'?' if query else ''}{query}", 308)
    await response(scope, receive, send)


def _as_api_error(problem: BaseException, call: str) -> ApiError:
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, asyncio.CancelledError):  # by a server that has waited long enough for its end
        return Closing("closing", "the server is closing")
    logger.error("%s: %s", ascii(call[:100]), describe(problem))
    return InternalError("internal_error", "the server failed to answer")
