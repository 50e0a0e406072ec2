"""Idempotency keys in a database, which is all that the servers on it know of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from .clock import seconds
from .database import Database, writing
from .idempotency import (
    LEASE,
    LIFETIME,
    Claim,
    StoredReply,
    busy,
    other_request,
)
from .ids import new_seed
from .tables import KEYS

_CLEANING = 50  # claims between two of them
_BATCH = 10 * _CLEANING  # keys cleaned away at a time: more than can have come in between

_KEY = bindparam("the_key", type_=KEYS.c.key.type)
_LATEST = bindparam("latest", type_=sa.Double)
_IS_KEY = KEYS.c.key == _KEY
_IS_ANY = KEYS.c.key.in_([_KEY, bindparam("former_key", type_=KEYS.c.key.type)])
_HAS_EXPIRED = (KEYS.c.since <= _LATEST) & KEYS.c.status.is_not(None)
_IS_FORGOTTEN = (KEYS.c.since <= _LATEST) & (KEYS.c.leased <= _LATEST)  # settled or not

_GET = sa.select(KEYS.c.key, KEYS.c.fingerprint, KEYS.c.seed, KEYS.c.leased, KEYS.c.status, KEYS.c.body)
_LOCK = _GET.where(_IS_ANY).with_for_update()
_ADD = sa.insert(KEYS)
_CHANGE = sa.update(KEYS).where(_IS_KEY)
_RENAME = sa.update(KEYS).where(KEYS.c.key == bindparam("former_key")).values(key=_KEY)
_END_LEASES = sa.update(KEYS).where(KEYS.c.status.is_(None)).values(leased=0.0)
_FREE = sa.delete(KEYS).where(_IS_KEY, KEYS.c.status.is_(None))
_EXPIRE = sa.delete(KEYS).where(_IS_ANY, _HAS_EXPIRED)
_some = sa.select(KEYS.c.key).where(_IS_FORGOTTEN).order_by(KEYS.c.since).limit(_BATCH)
_CLEAN = sa.delete(KEYS).where(KEYS.c.key.in_(_some.with_for_update(skip_locked=True)))


class SqlKeys:
    """Keys in a database, which it does not close. All methods raise DatabaseUnavailable, too."""

    def __init__(self, database: Database, clock: Callable[[], float] = seconds) -> None:
        self.database = database
        self._clock = clock
        self._claims = itertools.count()
        self._has_more_to_clean = False

    @writing
    def claim(
        self,
        connection: Connection,
        key: str,
        fingerprint: bytes,
        *,
        former_key: str = "",
        other_fingerprints: Collection[bytes] = (),
    ) -> Claim:
        """Take a key for a call. Raises KeyBusy, Conflict."""
        moment = self._clock()
        if next(self._claims) % _CLEANING == 0 or self._has_more_to_clean:
            cleaned = connection.execute(_CLEAN, {"latest": moment - LIFETIME}).rowcount
            self._has_more_to_clean = cleaned == _BATCH
        names = {"the_key": key, "former_key": former_key}
        connection.execute(_EXPIRE, {**names, "latest": moment - LIFETIME})
        entry = connection.execute(_LOCK, names).first()
        if entry is None:
            seed = new_seed()
            new = {"key": key, "fingerprint": fingerprint, "seed": seed, "since": moment, "leased": moment}
            connection.execute(_ADD, new)
            return Claim(seed)
        if entry.fingerprint not in {fingerprint, *other_fingerprints}:
            raise other_request()
        if entry.key != key:
            connection.execute(_RENAME, names)
        if entry.status is not None:
            return Claim(entry.seed, StoredReply(entry.status, entry.body))
        if abs(passed := moment - entry.leased) < LEASE:  # a clock may have been set back
            raise busy(LEASE - passed)
        connection.execute(_CHANGE, {"the_key": key, "leased": moment})
        return Claim(entry.seed)

    @writing
    def free_all(self, connection: Connection) -> None:
        """End all leases: to be called by the only server of a database, when it starts."""
        connection.execute(_END_LEASES)

    @writing
    def settle(self, connection: Connection, key: str, reply: StoredReply | None) -> None:
        """Keep the reply for the rest of the key's hour, or give the key free (None) if there is none yet."""
        if reply is None:
            connection.execute(_FREE, {"the_key": key})
        else:
            connection.execute(_CHANGE, {"the_key": key, "status": reply.status, "body": reply.body})
