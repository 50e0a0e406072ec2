"""HTML of the pages: one environment of templates for each application, in which everything is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from ...service.identity import User
from ..scope import BASE_PATH
from . import signing
from .formats import format_duration, format_time, plain
from .interface import Download, PageResponse, Redirect
from .markdown import render_markdown

_FOLDER = Path(__file__).parent
_MEDIA_TYPES = {
    "runbooks.css": "text/css; charset=utf-8",
    "runbooks.svg": "image/svg+xml",
    "local-times.js": "text/javascript; charset=utf-8",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, browsers do not send the origin of a form
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Asset(NamedTuple):
    """File that pages refer to. Its version changes with its content, so browsers may cache it for good."""

    content: bytes
    media_type: str
    version: str


class PageRenderer:
    """Turns the responses of views into HTTP responses.

    `server_id` is part of the cookie's name, so that servers on one host do not overwrite each other's cookies.
    """

    def __init__(self, server_id: str, assets: Mapping[str, Asset]) -> None:
        self._server_id = server_id
        self._templates = load_templates(lambda name: f"/static/{name}?v={assets[name].version}")

    def cookie(self, request: Request) -> signing.Cookie:
        """Return the attributes of the cookie, by the scheme and the path under which the browser sees the server."""
        return signing.cookie_for(self._server_id, request.scope["scheme"], request.scope[BASE_PATH])

    def render(self, request: Request, user: User | None, answer: PageResponse | Redirect | Download) -> Response:
        """Return the HTTP response for a user, None if no one is signed in."""
        base = request.scope[BASE_PATH]
        response: Response
        if isinstance(answer, Download):
            headers = {**_HEADERS, "Content-Disposition": _attachment(answer.name)}
            if isinstance(answer.content, bytes):
                return Response(answer.content, 200, headers, answer.media_type)
            headers["Content-Length"] = str(answer.size)
            return StreamingResponse(answer.content, 200, headers, answer.media_type)
        if isinstance(answer, Redirect):
            response = RedirectResponse(base + answer.to, 303)
        else:
            values = {"refresh": 0, **answer.values, "user": user, "base": base}
            values["sign_out_token"] = signing.form_token(user, "sign-out") if user else ""
            html = self._templates.get_template(answer.template).render(values)
            response = HTMLResponse(html.encode(errors="replace"), answer.status)
        response.headers.update({**_HEADERS, **answer.headers})
        if answer.cookie is not None:
            name, path, secure = self.cookie(request)
            age = signing.LIFETIME if answer.cookie else 0
            response.set_cookie(name, answer.cookie, age, path=path, secure=secure, httponly=True, samesite="strict")
        return response


def _attachment(name: str) -> str:
    """Return the header that makes a browser save a file under this name (RFC 6266)."""
    plain_name = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    more = "" if plain_name == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain_name}"{more}'


def load_assets() -> dict[str, Asset]:
    """Return the assets by their names."""
    contents = {name: (_FOLDER / "static" / name).read_bytes() for name in _MEDIA_TYPES}
    return {name: Asset(body, _MEDIA_TYPES[name], sha256(body).hexdigest()[:12]) for name, body in contents.items()}


def load_templates(asset_url: Callable[[str], str]) -> Environment:
    """Return the environment of the templates. `asset_url` returns the URL of an asset below the application's root."""
    environment: Environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "time": format_time,
        "duration": format_duration,
        "plain": plain,
        "markdown": render_markdown,
    }
    environment.filters.update(filters)
    names: dict[str, Any] = {"asset_url": asset_url}
    environment.globals.update(names)
    return environment
