"""What every request passes first: bounds of its head, the host it means, and an answer in JSON whatever breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import (
    ApiError,
    Closing,
    HeadTooLarge,
    InternalError,
    WrongHost,
)
from ..logs import describe
from .api.endpoint import refuse
from .limits import Limits
from .proxies import ProxyHeaders

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
PROBE_PATHS = frozenset({"/healthz", "/readyz"})  # asked by address, and there is nothing to steal


class EdgeMiddleware:
    """Refuse what is no business of the application, and let no exception of it past.

    `hosts` are the names that requests may mean, in lower case and without a port; any if None. A page of somebody
    else's whose name resolves to this machine (DNS rebinding) names itself. `front` says what visitors see.
    """

    def __init__(self, app: ASGIApp, limits: Limits, front: ProxyHeaders, hosts: Collection[str] | None) -> None:
        self._app = app
        self._limits = limits
        self._front = front
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._measure(scope)
            scope = self._front.seen(scope)
            self._check_host(scope)
            await self._app(scope, receive, watched)
        except (Exception, asyncio.CancelledError) as problem:
            if started:
                raise
            refusal = _as_refusal(problem, f"{scope['method']} {scope['path']}")
            await refuse(Request(scope), refusal)(scope, receive, send)

    def _measure(self, scope: Scope) -> None:
        headers = scope["headers"]
        size = len(scope["path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers)
        if size > self._limits.max_head or len(headers) > self._limits.max_headers:
            raise HeadTooLarge("headers_too_large", "the request's line and headers are too large or too many")

    def _check_host(self, scope: Scope) -> None:
        host = Request(scope).headers.get("host")
        if self._hosts is None or scope["path"] in PROBE_PATHS or host is None:  # browsers, the danger, always name one
            return
        if host_name(host) not in self._hosts:
            raise WrongHost("misdirected_request", "this server does not go by the host name of the request")


def allowed_host_names(hosts: Iterable[str]) -> frozenset[str]:
    """Return these names, an IPv6 address in brackets or without, and those of loopback."""
    if isinstance(hosts, str):
        raise TypeError("allowed_hosts is a sequence of names")
    return LOOPBACK_NAMES | {
        f"[{name}]" if name.count(":") > 1 and name[0] != "[" else name for name in map(str.lower, hosts)
    }


def host_name(host: str) -> str:
    """Return a Host header's name in lower case, without the port; an IPv6 address keeps its brackets."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _as_refusal(problem: BaseException, call: str) -> ApiError:
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, asyncio.CancelledError):  # by a server that closes and has waited long enough
        return Closing("closing", "the server is closing")
    logger.error("%s: %s", ascii(call[:100]), describe(problem))
    return InternalError("internal_error", "the server failed to answer")
