"""Who is signed in, and which forms are ours: signatures in place of sessions in the store.

All of them are made with the API key of the user they speak of. Hence they survive restarts, hold on every server that
knows the key, and end with it.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from ..users import User, Users

COOKIE = "airplane_runbooks"
LIFETIME = 12 * 3600  # seconds

_COOKIE = re.compile(r"(usr[a-z0-9]{1,40})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


def sign_in_cookie(user: User, now: float) -> str:
    """Return a cookie's value that says who is signed in, and until when."""
    expires = int(now) + LIFETIME
    return f"{user.id}.{expires}.{user.sign('sign-in', f'{user.id}.{expires}')}"


def signed_in(users: Users, cookie: str, now: float) -> User | None:
    """Return whose cookie it is, if it is genuine and in time."""
    parts = _COOKIE.fullmatch(cookie)
    user = users.get(parts[1]) if parts else None
    if parts is None or user is None:
        return None
    genuine = hmac.compare_digest(parts[3], user.sign("sign-in", f"{parts[1]}.{parts[2]}"))
    return user if genuine and int(parts[2]) > now else None


def form_token(user: User, form: str) -> str:
    """Return what a form carries to show that it was made for this user."""
    return user.sign("form", form)


def is_ours(user: User, form: str, token: str) -> bool:
    """Tell whether a form carries its token."""
    return hmac.compare_digest(token.encode(errors="replace"), form_token(user, form).encode())


def is_from_here(headers: Mapping[str, str]) -> bool:
    """Tell whether a form was sent by a page of this host, as far as the browser says where it comes from."""
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


class Throttle:
    """Bounds failures over time: `most` at once, and as many again in each minute. For any thread."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._room = float(most)
        self._since = clock()

    def is_open(self) -> bool:
        """Tell whether another try is allowed."""
        with self._lock:
            self._refill()
            return self._room >= 1

    def failed(self) -> None:
        """Count a failure."""
        with self._lock:
            self._refill()
            self._room = max(self._room - 1, 0)

    def _refill(self) -> None:
        now = self._clock()
        self._room = min(self._room + (now - self._since) * self._most / 60, self._most)
        self._since = now
