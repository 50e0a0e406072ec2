"""Signatures of messages, by the form of Standard Webhooks."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence

from ..errors import ConfigurationError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

VERSION = "v1"
_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes

Secrets = str | Sequence[str]
"""One secret, or several while one replaces another. Each is `whsec_` and the base64 of 24 to 64 random bytes."""


class SigningKeys:
    """The keys of some secrets. They are hidden in the repr."""

    def __init__(self, secrets: Secrets) -> None:
        try:
            several = isinstance(secrets, Sequence) and not isinstance(secrets, str)
            self._keys = list(map(_parse, secrets if several else [secrets]))
        finally:
            del secrets  # a traceback that shows local variables must not show them
        if not self._keys:
            raise ConfigurationError("a webhook needs at least one secret")

    def signatures(self, message_id: str, timestamp: int, body: bytes) -> Iterable[bytes]:
        """Return the base64 of a message's signature by each key."""
        content = f"{message_id}.{timestamp}.".encode() + body
        return [b64encode(hmac.digest(key, content, "sha256")) for key in self._keys]

    def __repr__(self) -> str:
        return "<SigningKeys>"


def sign(body: bytes, secret: Secrets, *, message_id: str, timestamp: int) -> Mapping[str, str]:
    """Return the headers that make a message genuine, for the tests of a receiver. A server does this by itself.

    Args:
        body: The body of the request.
        secret: The secret, or several: the message gets a signature by each.
        message_id: ID of the message, the same for all attempts to send it.
        timestamp: Time of the attempt, in seconds since 1970.

    Raises:
        ConfigurationError: A secret is malformed.
    """
    return signed_headers(body, SigningKeys(secret), message_id=message_id, timestamp=timestamp)


def signed_headers(body: bytes, keys: SigningKeys, *, message_id: str, timestamp: int) -> Mapping[str, str]:
    """Return the headers that make a message genuine."""
    signatures = keys.signatures(message_id, timestamp, body)
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(f"{VERSION},{signature.decode()}" for signature in signatures),
    }


def _parse(secret: object) -> bytes:
    """Return the bytes of a secret. Raises ConfigurationError, without showing it."""
    key = _decoded(secret)
    del secret
    if key is None:
        raise ConfigurationError(
            f"the secret of a webhook is {_PREFIX!r} and the base64 of {_SHORTEST} to {_LONGEST} random bytes; make one"
            " by python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
        )
    return key


def _decoded(secret: object) -> bytes | None:
    """Return the bytes of a secret, None if it is malformed."""
    if not isinstance(secret, str):
        return None
    try:
        key = b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except ValueError:  # other characters than base64 has, or too few
        return None
    return key if _SHORTEST <= len(key) <= _LONGEST else None
