"""What a view gets, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...service.identity import User, Users
from ...service.services import Services
from ..failed_logins import FailedLoginLimiter
from .signing import SignIn


class PageContext(NamedTuple):
    """What all views of an application share. `open` starts the background work before the first request."""

    services: Services
    open: Callable[[], None]
    users: Users
    guesses: FailedLoginLimiter


class PageRequest(NamedTuple):
    """One request: who it is from, and what for.

    `address` is the path below the application's root, `client` what the visitor's machine is known by.
    """

    sign_in: SignIn | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    address: str
    client: str
    form: Mapping[str, list[str]] = {}

    def posting(self, form: Mapping[str, list[str]]) -> PageRequest:
        """Return the same with the fields of a form."""
        return self._replace(form=form)

    def posted(self, name: str) -> str:
        """Return the last value of a field of the form, empty if there is none."""
        return self.form.get(name, [""])[-1]

    @property
    def user(self) -> User | None:
        """The signed-in user."""
        return None if self.sign_in is None else self.sign_in.user

    @property
    def signed_in_user(self) -> User:
        """Who has signed in; for views that are behind the sign-in."""
        return self.current_sign_in.user

    @property
    def current_sign_in(self) -> SignIn:
        """The visitor's sign-in; for views that are behind it."""
        if self.sign_in is None:
            raise LookupError("nobody has signed in")
        return self.sign_in

    @property
    def is_live(self) -> bool:
        """Whether pages are to be loaded again by themselves."""
        return self.query.get("live") != "off"


class PageResponse(NamedTuple):
    """A template with its values."""

    template: str
    values: Mapping[str, Any] = {}
    status: int = 200
    headers: Mapping[str, str] = {}
    cookie: str | None = None


class Redirect(NamedTuple):
    """Another page to go to, below the application's root; `cookie` is the one to set, empty to remove it."""

    to: str
    headers: Mapping[str, str] = {}
    cookie: str | None = None


View = Callable[[PageContext, PageRequest], PageResponse | Redirect]
