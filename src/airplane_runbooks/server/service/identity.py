"""Who may call the API and see the pages: users, each with a key of their own."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NoReturn

from ...models import Reviewers
from ..errors import Forbidden
from ..storage.ids import API_USER, stable_id

SHORTEST_KEY = 16  # characters of a key that nobody guesses

_EMAIL = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


class User:
    """Somebody with an API key of their own, for programs and for signing in at the pages.

    `email` is what reviewers are named by, in any case of letters; `groups` are slugs. `api_key` may be several keys
    while one takes the place of another: all of them are valid. Raises ValueError for what is no e-mail address, slug
    or key, and shows nothing of the key there or anywhere else.

    Attributes:
        id: What records know the user by, the same on every start of every server.
        email: The address in lower case; empty for the server's own key, which belongs to nobody in particular.
        groups: The slugs of the user's groups.
    """

    __slots__ = ("_keys", "email", "groups", "id")

    def __init__(self, email: str, api_key: str | Sequence[str], groups: Iterable[str] = ()) -> None:
        self.email = email.lower()
        self.groups = frozenset([groups] if isinstance(groups, str) else groups)
        if not _EMAIL.fullmatch(self.email):
            raise ValueError(f"{email!r} is no e-mail address")
        for group in self.groups:
            if not _GROUP.fullmatch(group):
                raise ValueError(f"{group!r} is no slug of a group")
        self.id = stable_id("usr", self.email)
        self._keys = _checked(api_key)

    @property
    def name(self) -> str:
        """What people know the user by."""
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
        """Whether a key is too short for a server that others can reach."""
        return any(len(key) < SHORTEST_KEY for key in self._keys)

    def sign(self, purpose: str, text: str, key: str | None = None) -> str:
        """Return a signature of a text in hexadecimal digits, one that nobody without the key could make.

        It is made with this key of the user's, by default with the first one.
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
        raise TypeError("a user is neither pickled nor copied: that would give the key away")


class _ApiUser(User):
    """The user that the server's own key belongs to."""

    __slots__ = ()

    def __init__(self, api_key: str | Sequence[str]) -> None:
        self.id, self.email, self.groups = API_USER, "", frozenset()
        self._keys = _checked(api_key)


class Users:
    """All who have a key. Raises ValueError if two share an e-mail address or a key."""

    def __init__(self, api_key: str | Sequence[str], users: Iterable[User] = ()) -> None:
        self._all = (_ApiUser(api_key), *users)
        self._by_id = {user.id: user for user in self._all}
        self._keys = [(digest, user) for user in self._all for digest in user.digests]
        if len(self._by_id) < len(self._all):
            raise ValueError("two users have the same e-mail address")
        if len({digest for digest, _ in self._keys}) < len(self._keys):
            raise ValueError("two users have the same API key; the server's own counts, too")

    def find(self, key: str) -> User | None:
        """Return whose key it is, if anybody's, in a time that tells nothing about the keys."""
        shown = sha256(key.encode(errors="surrogatepass")).digest()
        matches = [user for digest, user in self._keys if hmac.compare_digest(shown, digest)]
        return matches[0] if matches else None

    def refuse_weak_keys(self, why: str) -> None:
        """Raise ValueError if a key is too short for a server that others can reach, which it is for this reason."""
        for user in self._all:
            if user.has_weak_key:
                setting = f"the key of {user.email} in users" if user.email else "api_key"
                raise ValueError(
                    f"{why}, and {setting} has fewer than {SHORTEST_KEY} characters; make one by"
                    " python -c \"import secrets; print('tkn_' + secrets.token_hex(18))\""
                )

    def get(self, user_id: str) -> User | None:
        """Return the user of an ID."""
        return self._by_id.get(user_id)

    def name(self, user_id: str) -> str:
        """Return what people know the user of an ID by; the ID itself, if it belongs to nobody any more."""
        user = self._by_id.get(user_id)
        return user_id if user is None else user.name


def check_reviewer(wanted: Reviewers, user: User, started_by: str) -> None:
    """Raise Forbidden if a user may neither answer nor cancel a prompt of what `started_by` has started."""
    known = user.email != "" and user.email in map(str.lower, wanted.users)
    listed = known or not user.groups.isdisjoint(wanted.groups)
    if (wanted.users or wanted.groups) and not listed:
        raise Forbidden("not_a_reviewer", "only the prompt's reviewers may answer or cancel it, and you are not listed")
    if not wanted.allow_self_approvals and user.id == started_by:
        raise Forbidden(
            "self_approval", "somebody else has to answer or cancel this prompt: you started what it is for"
        )


def _checked(api_key: str | Sequence[str]) -> tuple[bytes, ...]:
    keys = (api_key,) if isinstance(api_key, str) else tuple(api_key)
    if not keys or not all(key.isascii() and key.isprintable() and key.strip() == key and key for key in keys):
        raise ValueError("an API key is made of printable ASCII characters, with no space around them")
    return tuple(key.encode() for key in keys)


def _signature(key: bytes, purpose: str, text: str) -> str:
    return hmac.digest(hmac.digest(key, purpose.encode(), "sha256"), text.encode(), "sha256").hex()
