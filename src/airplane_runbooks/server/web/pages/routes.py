"""The pages as Starlette routes: who is signed in, limits, errors and headers around the views."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ...errors import ApiError, Forbidden, Invalid
from ...logs import describe
from ..api.endpoint import address_of, mark_known, refuse
from ..body import AnonymousBodyReader, BodyReader, check_content_length
from ..limits import Limits
from ..misrouted import is_meant_for_api, misrouted_error
from ..proxies import BASE_PATH, PUBLIC_ORIGIN, path_below_base
from ..threads import RequestThreads
from . import signing, views
from .interface import (
    PageContext,
    PageRequest,
    PageResponse,
    Redirect,
    View,
)
from .rendering import Asset, load_assets, load_templates

logger = logging.getLogger(__name__)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, browsers keep the origin of a form to themselves
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TITLES = {
    400: "This did not work",
    403: "This is not allowed",
    404: "There is nothing here",
    409: "This has been done already",
    423: "Not for now",
    429: "Too many calls at a time",
    500: "An error",
    503: "Not just now",
}
_FOREIGN = "This form was sent by a page of another site. Nothing was changed."
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10_000
_MOST_OF_SIGN_IN = 16 * 1024  # bytes; nobody is known yet
_PATIENCE_AT_SIGN_IN = 5.0  # seconds
_LOBBY = 64  # such bodies that may be on their way
_GUESTS = 2  # threads that strangers have at most

Endpoint = Callable[[Request], Awaitable[Response]]
Receiver = Callable[[Request, PageRequest, str, View], Awaitable[Response]]


class PageRoutes:
    """The pages of one application, on threads that they share with its API."""

    def __init__(self, site: PageContext, limits: Limits, threads: RequestThreads, bodies: BodyReader) -> None:
        self._site = site
        self._limits = limits
        self._threads = threads
        self._bodies = bodies
        self._lobby = AnonymousBodyReader(_LOBBY, min(limits.body_timeout, _PATIENCE_AT_SIGN_IN))
        self._guests = asyncio.Semaphore(_GUESTS)
        self._assets = load_assets()
        self._templates = load_templates(lambda name: f"/static/{name}?v={self._assets[name].version}")

    @property
    def routes(self) -> list[BaseRoute]:
        """What to serve, below the root of the application."""
        return [
            self._route("GET", "/", views.sessions),
            self._route("GET", "/sessions/{id}", views.session),
            self._route("POST", "/sessions/{id}", views.end_session),
            self._route("GET", "/prompts/{id}", views.prompt),
            self._route("POST", "/prompts/{id}", views.answer_prompt),
            self._route("GET", "/sign-in", views.ask_for_key, receive=self._welcome),
            self._route("POST", "/sign-in", views.sign_in, receive=self._welcome),
            self._route("POST", "/sign-out", views.sign_out),
            *(Route(f"/static/{name}", _serve(asset), methods=["GET"]) for name, asset in self._assets.items()),
        ]

    def _route(self, method: str, path: str, view: View, *, receive: Receiver | None = None) -> Route:
        """Return the route to a view: for those who have signed in, unless it says how to receive others."""
        receive = receive or self._admit

        async def endpoint(request: Request) -> Response:
            if is_meant_for_api(request):
                return refuse(request, misrouted_error(request))
            visit = self._visit(request)
            try:
                if method == "POST" and not signing.is_same_origin(request.headers, request.scope[PUBLIC_ORIGIN]):
                    raise Forbidden("foreign_form", _FOREIGN)
                return await receive(request, visit, path, view)
            except ClientDisconnect:
                return Response(status_code=400)  # to nobody
            except ApiError as problem:
                return self._respond(request, visit, _apology(problem))

        return Route(path, endpoint, methods=[method])

    async def _welcome(self, request: Request, visit: PageRequest, path: str, view: View) -> Response:
        """Answer anybody: strangers wait in a line of their own, and take no place of a call's."""
        body = await self._lobby.read(request, _MOST_OF_SIGN_IN) if request.method == "POST" else b""
        async with self._guests:
            return await self._threads.run(self._traced, path, view, request, visit, body)

    async def _admit(self, request: Request, visit: PageRequest, path: str, view: View) -> Response:
        """Answer those who have signed in; which is known before their body is read."""
        body = b""
        if visit.user is not None and request.method == "POST":
            check_content_length(request, self._limits.max_body)
            with self._threads.admit():
                visit = await self._threads.run(self._current, visit)
            if visit.user is not None:
                body = await self._bodies.read(request, self._limits.max_body, visit.user.id)
        if visit.user is None:
            return self._respond(request, visit, stop_stranger(request.method, visit))
        with self._threads.admit():
            return await self._threads.run(self._traced, path, known_only(view), request, visit, body)

    def _traced(self, path: str, view: View, request: Request, visit: PageRequest, body: bytes) -> Response:
        with self._site.services.emitter.request(request.method, path, request.headers) as exchange:
            response = self._answer(view, request, visit, body)
            exchange.answered(response.status_code)
            return response

    def _answer(self, view: View, request: Request, visit: PageRequest, body: bytes) -> Response:
        try:
            self._site.open()
            visit = self._current(visit).posting(_parse(request, body))
            return self._respond(request, visit, view(self._site, visit))
        except ApiError as problem:
            return self._respond(request, visit, _apology(problem))
        except Exception as problem:  # noqa: BLE001 - people learn that it was not their fault, and no more
            logger.error("%s %s: %s", request.method, ascii(path_below_base(request)[:100]), describe(problem))  # noqa: TRY400 - see describe
            text = "The server failed to answer. Nothing more is known here; its log may say why."
            return self._respond(request, visit, PageResponse("message.html", {"title": "An error", "text": text}, 500))

    def _visit(self, request: Request) -> PageRequest:
        """Say who asks, as far as their cookie can tell."""
        cookie = request.cookies.get(self._cookie(request).name, "")
        sign_in = signing.signed_in(self._site.users, cookie, time.time())
        if sign_in is not None:
            mark_known(request.scope)
        return PageRequest(
            sign_in=sign_in,
            path=request.path_params,
            query=request.query_params,
            headers=request.headers,
            address=path_below_base(request),
            client=address_of(request.scope),
        )

    def _current(self, visit: PageRequest) -> PageRequest:
        """Return the same visit, by nobody if the sign-in has been ended."""
        over = visit.sign_in is not None and self._site.services.sign_outs.has(visit.sign_in.id)
        return visit._replace(sign_in=None) if over else visit

    def _cookie(self, request: Request) -> signing.Cookie:
        return signing.cookie_for(self._site.services.server_id, request.scope["scheme"], request.scope[BASE_PATH])

    def _respond(self, request: Request, visit: PageRequest, answer: PageResponse | Redirect) -> Response:
        base = request.scope[BASE_PATH]
        response: Response
        if isinstance(answer, Redirect):
            response = RedirectResponse(base + answer.to, 303)
        else:
            values = {"refresh": 0, **answer.values, "user": visit.user, "base": base}
            values["sign_out_token"] = signing.form_token(visit.user, "sign-out") if visit.user else ""
            html = self._templates.get_template(answer.template).render(values)
            response = HTMLResponse(html.encode(errors="replace"), answer.status)
        response.headers.update({**_HEADERS, **answer.headers})
        if answer.cookie is not None:
            name, path, secure = self._cookie(request)
            age = signing.LIFETIME if answer.cookie else 0
            response.set_cookie(name, answer.cookie, age, path=path, secure=secure, httponly=True, samesite="strict")
        return response


def stop_stranger(method: str, visit: PageRequest) -> PageResponse | Redirect:
    """Answer somebody who has not signed in, or not any more."""
    return ask_to_sign_in(visit) if method in ("GET", "HEAD") else PageResponse("signed_out.html", status=403)


def known_only(view: View) -> View:
    """Keep those out who have signed out a moment ago."""

    def guarded(site: PageContext, visit: PageRequest) -> PageResponse | Redirect:
        return ask_to_sign_in(visit) if visit.user is None else view(site, visit)

    return guarded


def _parse(request: Request, body: bytes) -> dict[str, list[str]]:
    """Read a form that was posted. Raises Invalid."""
    posted: dict[str, list[str]] = {}
    if request.method != "POST":
        return posted
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        pairs = _pairs(body) if kind == _FORM else None
    except ValueError:
        pairs = None
    if pairs is None:
        raise Invalid("invalid_form", "What was sent is no form that a browser would send.")
    for name, value in pairs:
        posted.setdefault(name, []).append(value)
    return posted


def _pairs(body: bytes) -> list[tuple[str, str]]:
    text = body.decode("ascii")
    if not text:
        return []
    return parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_FIELDS)


def ask_to_sign_in(visit: PageRequest) -> PageResponse | Redirect:
    """Send somebody unknown to the sign-in.

    Browsers keep the cookie back on the way from another site, such as a chat with a link to a prompt. A page of our
    own in between lets them send it.
    """
    if visit.headers.get("sec-fetch-site") == "cross-site":
        return PageResponse("bounce.html", {"address": visit.address})
    return Redirect(f"/sign-in?next={quote(visit.address, safe='', errors='replace')}")


def _apology(problem: ApiError) -> PageResponse:
    title = _TITLES.get(problem.status, "This did not work")
    text = f"{problem.message[:1].upper()}{problem.message[1:]}".rstrip(".") + "."
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return PageResponse("message.html", {"title": title, "text": text}, problem.status, headers)


def _serve(asset: Asset) -> Endpoint:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}

    async def endpoint(_: Request) -> Response:
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return endpoint
