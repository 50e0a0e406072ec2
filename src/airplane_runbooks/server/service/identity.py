"""Users of the API and the pages, each with keys of their own."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NoReturn

from ...models import Reviewers
from ..errors import Forbidden
from ..storage.ids import API_USER, stable_id

SHORTEST_KEY = 16  # characters of a key that cannot be guessed

_EMAIL = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


def new_api_key() -> str:
    """Return a new API key, which cannot be guessed."""
    return f"tkn_{secrets.token_hex(18)}"


class User:
    """A user with an API key, for programs and for signing in at the pages.

    `email` names the user among reviewers, in any case of letters; `groups` are slugs. `api_key` may be several keys
    while one replaces another: all of them are valid. Raises ValueError for an invalid e-mail address, slug
    or key. Neither the error nor anything else shows the key.

    Attributes:
        id: ID in records, the same on every start of every server.
        email: The address in lower case; empty for the server's own key, which belongs to no user.
        groups: The slugs of the user's groups.
    """

    __slots__ = ("_keys", "email", "groups", "id")

    def __init__(self, email: str, api_key: str | Sequence[str], groups: Iterable[str] = ()) -> None:
        self.email = email.lower()
        self.groups = frozenset([groups] if isinstance(groups, str) else groups)
        if not _EMAIL.fullmatch(self.email):
            raise ValueError(f"{email!r} is not an e-mail address")
        for group in self.groups:
            if not _GROUP.fullmatch(group):
                raise ValueError(f"{group!r} is not a slug of a group")
        self.id = stable_id("usr", self.email)
        self._keys = _checked(api_key)

    @property
    def name(self) -> str:
        """Name to show: the e-mail address, or that of the server's own key."""
        return self.email or "API user"

    @property
    def digest(self) -> bytes:
        """Digest of the first key, for comparing keys."""
        return self.digests[0]

    @property
    def digests(self) -> Sequence[bytes]:
        """Digests of the keys, for comparing them."""
        return [sha256(key).digest() for key in self._keys]

    @property
    def has_weak_key(self) -> bool:
        """True if a key is too short for a server that others can reach."""
        return any(len(key) < SHORTEST_KEY for key in self._keys)

    def sign(self, purpose: str, text: str, key: str | None = None) -> str:
        """Return a signature of a text in hexadecimal digits, which cannot be made without the key.

        It is made with the user's first key by default.
        """
        return _signature(self._keys[0] if key is None else key.encode(), purpose, text)

    def has_signed(self, purpose: str, text: str, signature: str) -> bool:
        """Tell whether a signature is genuine, by any key of the user's."""
        shown = signature.encode(errors="replace")
        genuine = [hmac.compare_digest(shown, _signature(key, purpose, text).encode()) for key in self._keys]
        return any(genuine)

    def __repr__(self) -> str:
        return f"<User {self.name}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a user cannot be pickled or copied, which would reveal the key")


class _ApiUser(User):
    """The user that the server's own key belongs to."""

    __slots__ = ()

    def __init__(self, api_key: str | Sequence[str]) -> None:
        self.id, self.email, self.groups = API_USER, "", frozenset()
        self._keys = _checked(api_key)


class Users:
    """All users. Raises ValueError if two share an e-mail address or a key."""

    def __init__(self, api_key: str | Sequence[str], users: Iterable[User] = ()) -> None:
        self._all = (_ApiUser(api_key), *users)
        self._by_id = {user.id: user for user in self._all}
        self._keys = [(digest, user) for user in self._all for digest in user.digests]
        if len(self._by_id) < len(self._all):
            raise ValueError("two users have the same e-mail address")
        if len({digest for digest, _ in self._keys}) < len(self._keys):
            raise ValueError("two users have the same API key; the server's own key counts, too")

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[User]:
        return iter(self._all)

    def find(self, key: str) -> User | None:
        """Return the owner of a key, or None, in a time that reveals nothing about the keys."""
        shown = sha256(key.encode(errors="surrogatepass")).digest()
        matches = [user for digest, user in self._keys if hmac.compare_digest(shown, digest)]
        return matches[0] if matches else None

    def refuse_weak_keys(self, why: str) -> None:
        """Raise ValueError, with the reason, if a key is too short for a server that others can reach."""
        for user in self._all:
            if user.has_weak_key:
                setting = f"the key of {user.email} in users" if user.email else "api_key"
                raise ValueError(
                    f"{why}, and {setting} has fewer than {SHORTEST_KEY} characters; make one by"
                    " python -c \"import secrets; print('tkn_' + secrets.token_hex(18))\""
                )

    def get(self, user_id: str) -> User | None:
        """Return the user with an ID."""
        return self._by_id.get(user_id)

    def name(self, user_id: str) -> str:
        """Return the name of the user with an ID; the ID itself, if that user is gone."""
        user = self._by_id.get(user_id)
        return user_id if user is None else user.name


def check_reviewer(wanted: Reviewers, user: User, started_by: str) -> None:
    """Raise Forbidden if a user may not answer or cancel a prompt. `started_by` is the user who started its session."""
    known = user.email != "" and user.email in map(str.lower, wanted.users)
    listed = known or not user.groups.isdisjoint(wanted.groups)
    if (wanted.users or wanted.groups) and not listed:
        raise Forbidden("not_a_reviewer", "only the prompt's reviewers may answer or cancel it, and you are not listed")
    if not wanted.allow_self_approvals and user.id == started_by:
        raise Forbidden(
            "self_approval", "another user has to answer or cancel this prompt, because you started its session"
        )


def _checked(api_key: str | Sequence[str]) -> tuple[bytes, ...]:
    keys = (api_key,) if isinstance(api_key, str) else tuple(api_key)
    if not keys or not all(key.isascii() and key.isprintable() and key.strip() == key and key for key in keys):
        raise ValueError("an API key is made of printable ASCII characters, with no space around them")
    return tuple(key.encode() for key in keys)


def _signature(key: bytes, purpose: str, text: str) -> str:
    return hmac.digest(hmac.digest(key, purpose.encode(), "sha256"), text.encode(), "sha256").hex()
