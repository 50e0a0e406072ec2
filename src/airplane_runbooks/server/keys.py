"""Idempotency keys: which call had which key, and what it was answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from .errors import Conflict, KeyBusy

LIFETIME = 3600.0  # seconds from the first use of a key, as the API documents


class Reply(msgspec.Struct, frozen=True):
    """An answer as it left the server."""

    status: int
    body: bytes


class Keys(Protocol):
    """What the server needs of a store of keys. Each method is atomic."""

    def claim(self, key: str, fingerprint: bytes) -> Reply | None:
        """Take a key for a call; the reply of the first call if the key has one.

        Raises KeyBusy while the first call is being carried out, Conflict if the first call was another one.
        """
        ...

    def settle(self, key: str, reply: Reply | None) -> None:
        """Keep the reply for the rest of the key's hour, or give the key free (None)."""
        ...


class _Claim(msgspec.Struct):
    fingerprint: bytes
    since: float
    reply: Reply | None = None


class MemoryKeys:
    """Keys that live and die with the process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._claims: dict[str, _Claim] = {}  # oldest first

    def claim(self, key: str, fingerprint: bytes) -> Reply | None:
        """Take a key for a call; the reply of the first call if the key has one. Raises KeyBusy, Conflict."""
        with self._lock:
            self._drop_expired()
            claim = self._claims.get(key)
            if claim is None:
                self._claims[key] = _Claim(fingerprint, self._clock())
                return None
            if claim.fingerprint != fingerprint:
                raise Conflict("idempotency_key_reused", "the idempotency key belongs to another request")
            if claim.reply is None:
                raise KeyBusy("idempotency_key_in_use", "the first request with this idempotency key is not done yet")
            return claim.reply

    def settle(self, key: str, reply: Reply | None) -> None:
        """Keep the reply for the rest of the key's hour, or give the key free (None)."""
        with self._lock:
            if reply is None:
                del self._claims[key]
            else:
                self._claims[key].reply = reply

    def _drop_expired(self) -> None:
        # a call that outlives the hour keeps its claim, and the younger ones behind it stay a little longer
        latest = self._clock() - LIFETIME
        while self._claims:
            key, claim = next(iter(self._claims.items()))
            if claim.since > latest or claim.reply is None:
                return
            del self._claims[key]
