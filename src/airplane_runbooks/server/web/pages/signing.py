"""Signed cookies and form tokens: the database keeps no session of a browser.

They are signed with the API key of their user. Hence they survive restarts, are valid on every server that has the key,
and end with it. The database keeps only the sign-ins that users have ended themselves.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from ...errors import Forbidden
from ...service.identity import User, Users
from ..callers import SignIn
from ..proxies import origin

LIFETIME = 12 * 3600  # seconds

_COOKIE = re.compile(r"(usr[a-z0-9]{1,40})\.([0-9a-f]{32})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


class Cookie(NamedTuple):
    """Attributes of the cookie: for one server of a host, for https if the server has it, and for one path.

    The prefixes of the name make browsers enforce that, even if another server may set cookies for the host.
    """

    name: str
    path: str
    secure: bool


def cookie_for(server_id: str, scheme: str, base: str) -> Cookie:
    """Return the cookie of a server that browsers see under this scheme and below this path."""
    name = f"airplane_runbooks_{server_id}"
    if scheme != "https":
        return Cookie(name, f"{base}/", secure=False)
    return Cookie(f"__Secure-{name}" if base else f"__Host-{name}", f"{base}/", secure=True)


def sign_in_cookie(user: User, key: str, now: float) -> str:
    """Return the value of the cookie of a new sign-in: its user, its ID and its end, signed with this key."""
    text = f"{user.id}.{secrets.token_hex(16)}.{int(now) + LIFETIME}"
    return f"{text}.{user.sign('sign-in', text, key)}"


def read_cookie(users: Users, cookie: str, now: float) -> SignIn | None:
    """Return the sign-in of a cookie, if it is genuine and has not expired."""
    parts = _COOKIE.fullmatch(cookie)
    user = users.get(parts[1]) if parts else None
    if parts is None or user is None:
        return None
    genuine = user.has_signed("sign-in", cookie.rpartition(".")[0], parts[4])
    return SignIn(user, parts[2], int(parts[3])) if genuine and int(parts[3]) > now else None


def form_token(user: User, form: str) -> str:
    """Return the token that shows that a form was made for this user."""
    return user.sign("form", form)


def has_form_token(user: User, form: str, token: str) -> bool:
    """Tell whether the token of a form is that of this user."""
    return user.has_signed("form", form, token)


def check_form_token(user: User, form: str, token: str) -> None:
    """Raise Forbidden unless the token of a form is that of this user."""
    if not has_form_token(user, form, token):
        raise Forbidden("wrong_form", "This form was not made for you, or it is out of date. Nothing was changed.")


def is_same_origin(headers: Mapping[str, str], own_origin: str) -> bool:
    """Tell whether a form was sent by a page of our own origin, as far as the browser tells."""
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    sender = headers.get("origin")
    return sender is None or origin(sender) == own_origin != ""
