"""Secrets at rest: values sealed by a key that is not in the database, and masked wherever somebody may look."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..models import Parameter
from .encoding import decode

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

MASK = "********"
KEY_VARIABLE = "AIRPLANE_ENCRYPTION_KEY"
_SHORTEST = 4  # characters of a text that is looked for; masking each "no" of a session would hide nothing but sense


class VaultError(Exception):
    """Secret values cannot be sealed or opened. The message shows nothing of them, and nothing of the key."""


class Vault:
    """Seals and opens values (Fernet: AES-128-CBC with an HMAC-SHA256).

    `keys` are Fernet keys, 32 random bytes in URL-safe base64: the first seals, all of them open, so that a new one can
    be put in front of an old one. They are taken at the first use, which raises VaultError for what is no key.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._fernet: MultiFernet | None = None

    def seal(self, plain: bytes) -> bytes:
        """Encrypt and sign. Raises VaultError."""
        return self._ready().encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Undo `seal`. Raises VaultError if no key fits, or if somebody has changed the sealed form."""
        from cryptography.fernet import InvalidToken

        try:
            return self._ready().decrypt(sealed)
        except InvalidToken:
            raise VaultError("a secret value was sealed with an encryption key that is not here") from None

    def check(self) -> None:
        """Raise VaultError now if there are no keys to seal with."""
        self._ready()

    def __repr__(self) -> str:
        return "<Vault>"

    def _ready(self) -> MultiFernet:
        with self._lock:
            if self._fernet is None:
                self._fernet = _fernet(self._keys)
            return self._fernet


def _fernet(keys: Iterable[str]) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet

    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        raise VaultError(
            "an encryption key is 32 random bytes in URL-safe base64; make one by"
            ' python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        ) from None


def find_vault(encryption_key: str | None, database: Path | None, *, shared: bool) -> Vault:
    """Return a vault with the keys given, else those from the environment, else one key for this database alone.

    Several keys stand side by side with commas between them. The key of a database file lies in a file beside it,
    readable by its owner only, and is made when it is first needed; that of a database in memory is forgotten with it.
    A database for several servers (`shared`) has none: all of them must be given the same. Raises VaultError for what
    is no key.
    """
    text = encryption_key or os.environ.get(KEY_VARIABLE)
    if text:
        vault = Vault([key.strip() for key in text.split(",")])
        vault.check()
        return vault
    return Vault(_own_key(database, shared=shared))


def _own_key(database: Path | None, *, shared: bool) -> Iterator[str]:
    from cryptography.fernet import Fernet

    if shared:
        raise VaultError(f"secret values need an encryption key here: pass encryption_key, or set {KEY_VARIABLE}")
    if database is None:
        yield Fernet.generate_key().decode()
        return
    path = database.with_name(database.name + ".key")
    try:
        yield path.read_text("ascii").strip()
    except FileNotFoundError:
        key = Fernet.generate_key().decode()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())  # what is sealed with it must not outlive it
        yield key


class Secrets:
    """The secret texts of one session: what must not be seen of it."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = sorted({text for text in texts if len(text) >= _SHORTEST}, key=len, reverse=True)

    @classmethod
    def of(cls, parameters: Iterable[Parameter], values: Mapping[str, Any]) -> Secrets:
        """Collect the values of secret parameters."""
        texts: set[str] = set()
        for parameter in parameters:
            if parameter.secret:
                _collect(values.get(parameter.slug), texts)
        return cls(texts)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, other: Secrets) -> None:
        """Take the texts of another one in, too."""
        self._texts = sorted({*self._texts, *other._texts}, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Put a mask in place of each secret in a text."""
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text

    def mask_json(self, document: bytes) -> bytes:
        """Put a mask in place of each secret in the strings and keys of a JSON document."""
        if not self._texts:
            return document
        plain = decode(document)
        masked = self._masked(plain)
        return document if masked == plain else msgspec.json.encode(masked)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, list):
            return [self._masked(item) for item in value]
        if isinstance(value, dict):
            return {self.mask(key): self._masked(item) for key, item in value.items()}
        return value

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._texts)}>"


def _collect(value: Any, texts: set[str]) -> None:
    if isinstance(value, str):
        texts.add(value)
    elif isinstance(value, list):
        for item in value:
            _collect(item, texts)


def masked_values(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with a mask in place of each secret one, whatever its length."""
    hidden = {parameter.slug for parameter in parameters if parameter.secret}
    return {slug: MASK if slug in hidden and value is not None else value for slug, value in values.items()}
