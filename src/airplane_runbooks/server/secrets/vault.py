"""Secrets at rest: values sealed by a key outside of the database, and digests that cannot be guessed by trying."""

from __future__ import annotations

import hmac
import os
import threading
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_VARIABLE = "AIRPLANE_ENCRYPTION_KEY"
_KEY_LENGTH = 32  # bytes
_KEY_ID = 4  # bytes in front of a digest


class VaultError(Exception):
    """Secret values cannot be sealed or opened. The message shows nothing of them, and nothing of the key."""


class KeyMissing(VaultError):
    """This server has no key to seal a value, or none that opens it. Another server may have it."""


class Vault:
    """Seals and opens values (Fernet: AES-128-CBC with an HMAC-SHA256), and makes keyed digests.

    `keys` are Fernet keys, 32 random bytes in URL-safe base64: the first seals, all of them open, so that a new one can
    be put in front of an old one. The first use reads them, and raises VaultError if one is invalid. `spare`
    returns the key of digests if there are none; digests made with it are still recognised when keys are added.
    """

    def __init__(self, keys: Iterable[str], spare: Callable[[], bytes] | None = None) -> None:
        self._given = keys
        self._spare = spare
        self._lock = threading.Lock()
        self._keys: Sequence[bytes] | None = None
        self._digest_keys: Mapping[bytes, bytes] = {}

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and sign. Raises VaultError."""
        return self._fernet().encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Undo `seal`. Raises KeyMissing if no key fits, or if the sealed form was changed."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet().decrypt(sealed)
        except InvalidToken:
            raise KeyMissing("a secret value was sealed with a key that this server does not have") from None

    def digest(self, purpose: str, data: bytes) -> bytes:
        """Return a keyed digest of data for the database. Without the key, the data cannot be found by trying.

        It is an HMAC-SHA256 after four bytes that name its key; the digests of one `purpose` reveal nothing about those
        of another. `matches` compares it. Raises VaultError.
        """
        return self.digests(purpose, data)[0]

    def digests(self, purpose: str, data: bytes) -> Sequence[bytes]:
        """Return the digests of data by each of the keys. Raises VaultError."""
        return [key_id + _digest(key, purpose, data) for key_id, key in self._known().items()]

    def matches(self, digest: bytes, purpose: str, data: bytes) -> bool | None:
        """Tell whether a digest is that of these data; None if this server does not have its key."""
        key = self._known().get(digest[:_KEY_ID])
        return None if key is None else hmac.compare_digest(digest[_KEY_ID:], _digest(key, purpose, data))

    def check(self) -> None:
        """Raise VaultError now if there are no keys to seal with."""
        self._fernet()

    def __repr__(self) -> str:
        return "<Vault>"

    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet

        if not (keys := self._taken()):
            raise KeyMissing(f"secret values need an encryption key here: pass encryption_key, or set {KEY_VARIABLE}")
        return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])

    def _known(self) -> Mapping[bytes, bytes]:
        """Return the keys of digests by their IDs, the one that makes them first."""
        if not self._digest_keys:
            spare = () if self._spare is None else (self._spare(),)
            self._digest_keys = {_digest(key, "key", b"")[:_KEY_ID]: key for key in (*self._taken(), *spare)}
        return self._digest_keys

    def _taken(self) -> Sequence[bytes]:
        with self._lock:
            if self._keys is None:
                self._keys = [parse_key(key) for key in self._given]
            return self._keys


def new_key() -> str:
    """Make a key."""
    return urlsafe_b64encode(os.urandom(_KEY_LENGTH)).decode()


def parse_key(key: str) -> bytes:
    """Return the bytes of a key. Raises VaultError, without showing it."""
    try:
        parsed = b64decode(key, b"-_", validate=True)
        if len(parsed) != _KEY_LENGTH:
            raise ValueError  # noqa: TRY301 - handled like invalid base64
    except ValueError:
        raise VaultError(
            "an encryption key is 32 random bytes in URL-safe base64; make one by"
            ' python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from None
    return parsed


def _digest(key: bytes, purpose: str, data: bytes) -> bytes:
    return hmac.digest(hmac.digest(key, b"airplane_runbooks " + purpose.encode(), "sha256"), data, "sha256")
