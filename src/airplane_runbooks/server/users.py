"""Who may call the API and see the pages: users, each with a key of their own."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import NoReturn

from .errors import Forbidden
from .ids import API_USER, stable_id
from .store.records import Prompt

_EMAIL = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class User:
    """Somebody with an API key of their own, for programs and for signing in at the pages.

    `email` is what reviewers are named by, in any case of letters; `groups` are slugs. Raises ValueError for what is no
    e-mail address, slug or key, and shows nothing of the key there or anywhere else.

    Attributes:
        id: What records know the user by, the same on every start of every server.
        email: The address in lower case; empty for the server's own key, which belongs to nobody in particular.
        groups: The slugs of the user's groups.
    """

    __slots__ = ("_key", "email", "groups", "id")

    def __init__(self, email: str, api_key: str, groups: Iterable[str] = ()) -> None:
        self.email = email.lower()
        self.groups = frozenset([groups] if isinstance(groups, str) else groups)
        if not _EMAIL.fullmatch(self.email):
            raise ValueError(f"{email!r} is no e-mail address")
        for group in self.groups:
            if not _GROUP.fullmatch(group):
                raise ValueError(f"{group!r} is no slug of a group")
        self.id = stable_id("usr", self.email)
        self._key = _checked(api_key)

    @property
    def name(self) -> str:
        """What people know the user by."""
        return self.email or "API user"

    @property
    def digest(self) -> bytes:
        """What stands for the key where keys are compared or told apart."""
        return sha256(self._key).digest()

    def sign(self, purpose: str, text: str) -> str:
        """Return a signature of a text in hexadecimal digits, one that nobody without the key could make."""
        return hmac.digest(hmac.digest(self._key, purpose.encode(), "sha256"), text.encode(), "sha256").hex()

    def __repr__(self) -> str:
        return f"<User {self.name}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a user is neither pickled nor copied: that would give the key away")


class _ApiUser(User):
    """The user that the server's own key belongs to."""

    __slots__ = ()

    def __init__(self, api_key: str) -> None:
        self.id, self.email, self.groups = API_USER, "", frozenset()
        self._key = _checked(api_key)


class Users:
    """All who have a key. Raises ValueError if two share an e-mail address or a key."""

    def __init__(self, api_key: str, users: Iterable[User] = ()) -> None:
        self._all = (_ApiUser(api_key), *users)
        self._by_id = {user.id: user for user in self._all}
        self._digests = [user.digest for user in self._all]
        if len(self._by_id) < len(self._all):
            raise ValueError("two users have the same e-mail address")
        if len(set(self._digests)) < len(self._all):
            raise ValueError("two users have the same API key; the server's own counts, too")

    def find(self, key: str) -> User | None:
        """Return whose key it is, if anybody's, in a time that tells nothing about the keys."""
        shown = sha256(key.encode(errors="surrogatepass")).digest()
        matches = [hmac.compare_digest(shown, digest) for digest in self._digests]
        return self._all[matches.index(True)] if any(matches) else None

    def get(self, user_id: str) -> User | None:
        """Return the user of an ID."""
        return self._by_id.get(user_id)

    def name(self, user_id: str) -> str:
        """Return what people know the user of an ID by; the ID itself, if it belongs to nobody any more."""
        user = self._by_id.get(user_id)
        return user_id if user is None else user.name


def check_reviewer(prompt: Prompt, user: User, started_by: str) -> None:
    """Raise Forbidden if a user may neither answer nor cancel a prompt of what `started_by` has started."""
    wanted = prompt.reviewers
    known = user.email != "" and user.email in map(str.lower, wanted.users)
    listed = known or not user.groups.isdisjoint(wanted.groups)
    if (wanted.users or wanted.groups) and not listed:
        raise Forbidden("not_a_reviewer", "only the prompt's reviewers may answer or cancel it, and you are not listed")
    if not wanted.allow_self_approvals and user.id == started_by:
        raise Forbidden(
            "self_approval", "somebody else has to answer or cancel this prompt: you started what it is for"
        )


def _checked(api_key: str) -> bytes:
    if not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key and api_key):
        raise ValueError("an API key is made of printable ASCII characters, with no space around them")
    return api_key.encode()
