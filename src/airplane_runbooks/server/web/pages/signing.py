"""Who is signed in, and which forms are ours: signatures in place of sessions in the store.

All of them are made with the API key of the user they speak of. Hence they survive restarts, hold on every server that
knows the key, and end with it. Only the sign-ins that people have ended themselves are kept in the database.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from ...service.identity import User, Users
from ..proxies import origin

LIFETIME = 12 * 3600  # seconds

_COOKIE = re.compile(r"(usr[a-z0-9]{1,40})\.([0-9a-f]{32})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


class SignIn(NamedTuple):
    """A sign-in: whose, its ID, and when it ends, in seconds since 1970."""

    user: User
    id: str
    until: int


class Cookie(NamedTuple):
    """Attributes of the cookie: for one server of a host, over https if there is any, for one path alone.

    The prefixes of the name make browsers hold to that, whoever else may set cookies for the host.
    """

    name: str
    path: str
    secure: bool


def cookie_for(server_id: str, scheme: str, base: str) -> Cookie:
    """Return the cookie of a server that visitors find at this scheme and below this path."""
    name = f"airplane_runbooks_{server_id}"
    if scheme != "https":
        return Cookie(name, f"{base}/", secure=False)
    return Cookie(f"__Secure-{name}" if base else f"__Host-{name}", f"{base}/", secure=True)


def sign_in_cookie(user: User, key: str, now: float) -> str:
    """Return a cookie's value that says who has signed in with this key, and until when."""
    text = f"{user.id}.{secrets.token_hex(16)}.{int(now) + LIFETIME}"
    return f"{text}.{user.sign('sign-in', text, key)}"


def signed_in(users: Users, cookie: str, now: float) -> SignIn | None:
    """Return whose cookie it is, if it is genuine and in time."""
    parts = _COOKIE.fullmatch(cookie)
    user = users.get(parts[1]) if parts else None
    if parts is None or user is None:
        return None
    genuine = user.has_signed("sign-in", cookie.rpartition(".")[0], parts[4])
    return SignIn(user, parts[2], int(parts[3])) if genuine and int(parts[3]) > now else None


def form_token(user: User, form: str) -> str:
    """Return what a form carries to show that it was made for this user."""
    return user.sign("form", form)


def has_form_token(user: User, form: str, token: str) -> bool:
    """Tell whether a form carries its token."""
    return user.has_signed("form", form, token)


def is_same_origin(headers: Mapping[str, str], here: str) -> bool:
    """Tell whether a form was sent by a page of this origin, as far as the browser says where it comes from."""
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    shown = headers.get("origin")
    return shown is None or origin(shown) == here != ""
