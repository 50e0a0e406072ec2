"""Front end of the pages: from a request to a view, and from its response to HTML."""

from __future__ import annotations

import time
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from ...errors import ApiError, Forbidden, Unauthorized
from ..callers import NOBODY, Identity
from ..scope import (
    PUBLIC_ORIGIN,
    client_address,
    mark_authenticated,
    path_below_base,
)
from . import signing
from .interface import (
    PageContext,
    PageRequest,
    PageResponse,
    Redirect,
    View,
)
from .posted import Posted, read_form
from .rendering import PageRenderer

_VERIFIED_FOR = 1.0  # seconds; a form whose body is slower than that is looked up again
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


class PageFrontEnd:
    """One page: for signed-in users, or for everyone if `is_public`. The cookie says who is signed in."""

    def __init__(
        self, context: PageContext, renderer: PageRenderer, route: str, view: View, *, is_public: bool = False
    ) -> None:
        self.route = route
        self.verifies_before_body = not is_public
        self._context = context
        self._renderer = renderer
        self._view = view
        self._is_public = is_public

    def identify(self, request: Request) -> Identity:
        """Return the user whose sign-in the cookie is, whether or not it has been ended."""
        cookie = request.cookies.get(self._renderer.cookie(request).name, "")
        sign_in = signing.read_cookie(self._context.users, cookie, time.time())
        if sign_in is None:
            return NOBODY
        mark_authenticated(request.scope)
        return Identity(sign_in.user, sign_in)

    def check(self, request: Request, caller: Identity) -> None:
        """Raise Forbidden for a form of another site, and Unauthorized without a sign-in where one is needed."""
        if request.method == "POST" and not signing.is_same_origin(request.headers, request.scope[PUBLIC_ORIGIN]):
            text = "This form was sent by a page of another site. Nothing was changed."
            raise Forbidden("foreign_form", text)
        if caller.user is None and not self._is_public:
            raise _signed_out()

    def verify(self, caller: Identity) -> Identity:
        """Look up whether the user has signed out, unless that was done just now."""
        if caller.sign_in is None:
            return caller
        now = time.monotonic()
        if caller.verified_at is not None and now < caller.verified_at + _VERIFIED_FOR:
            return caller
        if not self._context.services.sign_outs.has(caller.sign_in.id):
            return caller._replace(verified_at=now)
        if self._is_public:
            return NOBODY
        raise _signed_out()

    def call(self, request: Request, caller: Identity, body: bytes) -> Response:
        """Call the view with the request's form, and render its response."""
        page_request = _page_request(request, caller, read_form(request, body))
        return self._renderer.render(request, caller.user, self._view(self._context, page_request))

    def render_error(self, request: Request, caller: Identity, problem: ApiError) -> Response:
        """Return an error as a page; users who are not signed in are asked to."""
        if isinstance(problem, Unauthorized):
            return self._renderer.render(request, None, _ask_to_sign_in(request))
        return self._renderer.render(request, caller.user, _error_page(problem))


def _page_request(request: Request, caller: Identity, posted: Posted) -> PageRequest:
    return PageRequest(
        sign_in=caller.sign_in,
        path=request.path_params,
        query=request.query_params,
        address=path_below_base(request),
        client=client_address(request.scope),
        fields=posted.fields,
        files=posted.files,
        texts=request.query_params.getlist,
    )


def _signed_out() -> Unauthorized:
    return Unauthorized("signed_out", "You are not signed in any more.")


def _ask_to_sign_in(request: Request) -> PageResponse | Redirect:
    """Send a user to the sign-in, or keep a form that was posted in the browser meanwhile.

    Browsers hold back the cookie on the way from another site, such as a chat with a link to a prompt. A page of our
    own in between lets them send it.
    """
    if request.method not in ("GET", "HEAD"):
        return PageResponse("signed_out.html", status=403)
    query = request.scope["query_string"].decode("latin-1")
    address = path_below_base(request) + (f"?{query}" if query else "")
    if request.headers.get("sec-fetch-site") == "cross-site":
        return PageResponse("bounce.html", {"address": address})
    return Redirect(f"/sign-in?next={quote(address, safe='', errors='replace')}")


def _error_page(problem: ApiError) -> PageResponse:
    title = _TITLES.get(problem.status, "This did not work")
    text = f"{problem.message[:1].upper()}{problem.message[1:]}".rstrip(".") + "."
    if problem.status == 500:
        text += " The server's log may say why."
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return PageResponse("message.html", {"title": title, "text": text}, problem.status, headers)
