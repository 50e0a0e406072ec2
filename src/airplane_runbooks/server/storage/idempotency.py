"""Idempotency keys: which call had which key, and what it was answered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec

from ..errors import Conflict, KeyBusy

LIFETIME = 3600.0  # seconds from the first use of a key, as the API documents
LEASE = 10.0  # seconds that a key is busy whose claim has been committed without a reply, as older versions did


class StoredReply(msgspec.Struct, frozen=True):
    """Reply as it left the server, kept with its idempotency key."""

    status: int
    body: bytes


def other_request() -> Conflict:
    """Refuse a key that another request has had."""
    return Conflict("idempotency_key_reused", "the idempotency key belongs to another request")


def busy(left: float) -> KeyBusy:
    """Refuse a key whose first request is being carried out, with the seconds that are left of its lease."""
    return KeyBusy("idempotency_key_in_use", "the first request with this idempotency key is not done yet", left)


class Claim(msgspec.Struct, frozen=True):
    """A key that has been taken for a call: the reply of the first call, if there is one, and the call's seed.

    All IDs that the call makes are made of the seed. A call that repeats one whose server died makes the same IDs, so
    that it finds what is there already instead of adding to it.
    """

    seed: str
    reply: StoredReply | None = None


class Keys(Protocol):
    """The idempotency keys of a store. Each method is atomic.

    A call claims its key in the transaction that keeps its reply. So a repeated call waits for the end of the first.
    """

    def claim(
        self, key: str, fingerprint: bytes, *, former_key: str = "", other_fingerprints: Collection[bytes] = ()
    ) -> Claim:
        """Take a key for a call.

        `fingerprint` tells the call from others, and is kept; `other_fingerprints` are what it may have been kept as,
        and `former_key` is what the key may have been kept as: by an older version, or under another encryption key.

        Raises KeyBusy if the first call has left the key without a reply less than `LEASE` seconds ago, and Conflict if
        the first call was another one.
        """
        ...

    def settle(self, key: str, reply: StoredReply) -> None:
        """Keep the reply for the rest of the key's hour."""
        ...
