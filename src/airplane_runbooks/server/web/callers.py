"""Callers as the web layer knows them: by an API key, or by the cookie of a sign-in."""

from __future__ import annotations

from typing import NamedTuple

from ..service.identity import User


class SignIn(NamedTuple):
    """Sign-in at the pages: its user, its ID, and its end in seconds since 1970."""

    user: User
    id: str
    until: int


class Identity(NamedTuple):
    """Sender of a request: a user, or None without a valid key or cookie.

    `sign_in` is the sign-in that the user's cookie stands for. `verified_at` is the monotonic time at which the
    database was last asked whether it has ended.
    """

    user: User | None
    sign_in: SignIn | None = None
    verified_at: float | None = None


NOBODY = Identity(None)
