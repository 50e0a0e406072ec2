"""The pages as Starlette routes: who is signed in, limits, errors and headers around the views."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ..backend import Backend
from ..errors import Forbidden, Invalid, Refused
from ..http.body import read
from ..http.threads import Threads
from ..limits import Limits
from ..logs import describe
from ..users import Users
from . import signing, views
from .rendering import Asset, load_assets, load_templates
from .visits import Page, Redirect, Site, View, Visit

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
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10_000
_MOST_OF_SIGN_IN = 16 * 1024  # bytes; nobody is known yet

Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """The pages of one application, on threads that they share with its API."""

    def __init__(self, backend: Backend, users: Users, limits: Limits, threads: Threads) -> None:
        self._site = Site(backend, users, signing.Throttle(views.MOST_WRONG_KEYS))
        self._limits = limits
        self._threads = threads
        self._assets = load_assets()
        self._templates = load_templates(lambda name: f"/static/{name}?v={self._assets[name].version}")

    @property
    def routes(self) -> list[BaseRoute]:
        """What to serve, below the root of the application."""
        return [
            self._get("/", views.sessions),
            self._get("/sessions/{id}", views.session),
            self._get("/prompts/{id}", views.prompt),
            self._post("/prompts/{id}", views.answer_prompt),
            self._route("GET", "/sign-in", views.ask_for_key),
            self._post("/sign-in", views.sign_in, needs_user=False, most=_MOST_OF_SIGN_IN),
            self._post("/sign-out", views.sign_out),
            *(Route(f"/static/{name}", _serve(asset), methods=["GET"]) for name, asset in self._assets.items()),
        ]

    def _get(self, path: str, view: View) -> Route:
        def guarded(site: Site, visit: Visit) -> Page | Redirect:
            return ask_to_sign_in(visit) if visit.user is None else view(site, visit)

        return self._route("GET", path, guarded)

    def _post(self, path: str, view: View, *, needs_user: bool = True, most: int | None = None) -> Route:
        def guarded(site: Site, visit: Visit) -> Page | Redirect:
            if not signing.is_from_here(visit.headers):
                raise Forbidden("foreign_form", "This form was sent by a page of another site. Nothing was changed.")
            if needs_user and visit.user is None:
                return Page("signed_out.html", status=403)
            return view(site, visit)

        return self._route("POST", path, guarded, most or self._limits.max_body)

    def _route(self, method: str, path: str, view: View, most: int = 0) -> Route:
        """Return the route to a view, with posts of at most so many bytes."""

        async def endpoint(request: Request) -> Response:
            try:
                with self._threads.admit():
                    body = await read(request, min(most, self._limits.max_body), self._limits.body_timeout)
                    return await self._threads.run(self._traced, path, view, request, body)
            except ClientDisconnect:
                return Response(status_code=400)  # to nobody
            except Refused as problem:
                return self._refuse(request, problem)

        return Route(path, endpoint, methods=[method])

    def _traced(self, path: str, view: View, request: Request, body: bytes) -> Response:
        with self._site.backend.tracing.request(request.method, path, request.headers) as exchange:
            response = self._answer(view, request, body)
            exchange.answered(response.status_code)
            return response

    def _answer(self, view: View, request: Request, body: bytes) -> Response:
        visit = self._visit(request)
        try:
            self._site.backend.open()
            visit = visit.posting(_parse(request, body))
            return self._respond(request, visit, view(self._site, visit))
        except Refused as problem:
            return self._respond(request, visit, _apology(problem))
        except Exception as problem:  # noqa: BLE001 - people learn that it was not their fault, and no more
            logger.error("%s %s: %s", request.method, request.url.path, describe(problem))  # noqa: TRY400 - see describe
            text = "The server failed to answer. Nothing more is known here; its log may say why."
            return self._respond(request, visit, Page("message.html", {"title": "An error", "text": text}, 500))

    def _visit(self, request: Request) -> Visit:
        cookie = request.cookies.get(signing.COOKIE, "")
        return Visit(
            user=signing.signed_in(self._site.users, cookie, time.time()),
            path=request.path_params,
            query=request.query_params,
            headers=request.headers,
            address=request.url.path.removeprefix(_base(request)),
        )

    def _refuse(self, request: Request, problem: Refused) -> Response:
        return self._respond(request, self._visit(request), _apology(problem))

    def _respond(self, request: Request, visit: Visit, answer: Page | Redirect) -> Response:
        base = _base(request)
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
            secure = request.url.scheme == "https"
            age = signing.LIFETIME if answer.cookie else 0
            response.set_cookie(
                signing.COOKIE, answer.cookie, age, path=base or "/", secure=secure, httponly=True, samesite="strict"
            )
        return response


def _base(request: Request) -> str:
    """Return where the application is mounted."""
    return str(request.scope.get("root_path", "")).rstrip("/")


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


def ask_to_sign_in(visit: Visit) -> Page | Redirect:
    """Send somebody unknown to the sign-in.

    Browsers keep the cookie back on the way from another site, such as a chat with a link to a prompt. A page of our
    own in between lets them send it.
    """
    if visit.headers.get("sec-fetch-site") == "cross-site":
        return Page("bounce.html", {"address": visit.address})
    return Redirect(f"/sign-in?next={quote(visit.address, safe='')}")


def _apology(problem: Refused) -> Page:
    title = _TITLES.get(problem.status, "This did not work")
    text = f"{problem.message[:1].upper()}{problem.message[1:]}".rstrip(".") + "."
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return Page("message.html", {"title": title, "text": text}, problem.status, headers)


def _serve(asset: Asset) -> Endpoint:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}

    async def endpoint(_: Request) -> Response:
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return endpoint
