"""Arguments and results of views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...service.identity import User, Users
from ...service.services import Services
from ..callers import SignIn
from ..failed_logins import FailedLoginLimiter
from .posted import PostedFile


class PageContext(NamedTuple):
    """Dependencies that all views of an application share."""

    services: Services
    users: Users
    failed_logins: FailedLoginLimiter


class PageRequest(NamedTuple):
    """Request for a page: its sender, its parameters, and the fields and files of a posted form.

    `address` is the path below the application's root, `client` the network address of the browser. `texts` returns all
    texts that the query has under a name.
    """

    sign_in: SignIn | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    address: str
    client: str
    fields: Mapping[str, list[str]] = {}
    files: Mapping[str, Sequence[PostedFile]] = {}
    texts: Callable[[str], Sequence[str]] = lambda _: ()

    def field(self, name: str) -> str:
        """Return the last value of a field of the form, empty if there is none."""
        return self.fields.get(name, [""])[-1]

    @property
    def user(self) -> User | None:
        """User who is signed in, if any."""
        return None if self.sign_in is None else self.sign_in.user

    @property
    def signed_in_user(self) -> User:
        """User who is signed in; for views that need a sign-in."""
        return self.current_sign_in.user

    @property
    def current_sign_in(self) -> SignIn:
        """Sign-in of the user; for views that need one."""
        if self.sign_in is None:
            raise LookupError("no one is signed in")
        return self.sign_in

    @property
    def is_live(self) -> bool:
        """True if pages reload by themselves."""
        return self.query.get("live") != "off"


class PageResponse(NamedTuple):
    """A template with its values."""

    template: str
    values: Mapping[str, Any] = {}
    status: int = 200
    headers: Mapping[str, str] = {}
    cookie: str | None = None


class Redirect(NamedTuple):
    """Redirect to a page below the application's root. `cookie` is the cookie to set, empty to remove it."""

    to: str
    headers: Mapping[str, str] = {}
    cookie: str | None = None


class Download(NamedTuple):
    """File that the browser saves instead of showing it. `size` is its length if the content is an iterator."""

    name: str
    content: bytes | Iterator[bytes]
    media_type: str
    size: int | None = None


View = Callable[[PageContext, PageRequest], PageResponse | Redirect | Download]
