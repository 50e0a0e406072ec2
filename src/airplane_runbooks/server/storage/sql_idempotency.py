"""Idempotency keys in a database, which is all that the servers on it know of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects import postgresql

from .clock import seconds
from .idempotency import (
    LEASE,
    LIFETIME,
    Claim,
    StoredReply,
    busy,
    other_request,
)
from .ids import new_seed
from .prepared import change, first, later
from .tables import KEYS
from .transactions import Transactor, writing

_CLEANING = 50  # claims between two of them
_BATCH = 10 * _CLEANING  # keys cleaned away at a time: more than can have come in between

_KEY = bindparam("the_key", type_=KEYS.c.key.type)
_LATEST = bindparam("latest", type_=sa.Double)
_IS_KEY = KEYS.c.key == _KEY
_IS_ANY = KEYS.c.key.in_([_KEY, bindparam("former_key", type_=KEYS.c.key.type)])
_IS_FORGOTTEN = (KEYS.c.since <= _LATEST) & (KEYS.c.leased <= _LATEST)  # settled or not

_LOCK = (
    sa.select(KEYS.c.key, KEYS.c.fingerprint, KEYS.c.seed, KEYS.c.since, KEYS.c.leased, KEYS.c.status, KEYS.c.body)
    .where(_IS_ANY)
    .with_for_update()
)
_NEW = [KEYS.c.key, KEYS.c.fingerprint, KEYS.c.seed, KEYS.c.since, KEYS.c.leased]
_has_former = sa.exists().where(KEYS.c.key == bindparam("former_key", type_=KEYS.c.key.type))
# on PostgreSQL, it waits for the end of another call's transaction that has added the key
_ADD = (
    postgresql.insert(KEYS)
    .from_select(_NEW, sa.select(*(bindparam(f"new_{one.name}", type_=one.type) for one in _NEW)).where(~_has_former))
    .on_conflict_do_nothing(index_elements=[KEYS.c.key])
)
_CHANGE = sa.update(KEYS).where(_IS_KEY)
_RENAME = sa.update(KEYS).where(KEYS.c.key == bindparam("former_key")).values(key=_KEY)
_END_LEASES = sa.update(KEYS).where(KEYS.c.status.is_(None)).values(leased=0.0)
_EXPIRE = sa.delete(KEYS).where(_IS_KEY)
_FORGET = sa.delete(KEYS).where(
    KEYS.c.since >= bindparam("first", type_=sa.Double),
    KEYS.c.seed.in_(bindparam("seeds", expanding=True, type_=KEYS.c.seed.type)),
)
_some = sa.select(KEYS.c.key).where(_IS_FORGOTTEN).order_by(KEYS.c.since).limit(_BATCH)
_CLEAN = sa.delete(KEYS).where(KEYS.c.key.in_(_some.with_for_update(skip_locked=True)))


class _Entry(NamedTuple):
    """Row of a key, in the order of `_LOCK`."""

    key: str
    fingerprint: bytes
    seed: str
    since: float
    leased: float
    status: int | None
    body: bytes | None


class _Cleaning:
    """Schedule by which keys that are too old are removed: with every fiftieth claim, and while there are many."""

    def __init__(self) -> None:
        self._claims = itertools.count()
        self._has_more = False

    def clean(self, connection: Connection, latest: float) -> None:
        """Remove keys that were first used by `latest`, if it is time to."""
        if next(self._claims) % _CLEANING == 0 or self._has_more:
            self._has_more = change(connection, _CLEAN, {"latest": latest}) == _BATCH


class SqlKeys:
    """Keys in a database, which it does not close. All methods raise DatabaseUnavailable, too."""

    def __init__(
        self, database: Transactor, clock: Callable[[], float] = seconds, cleaning: _Cleaning | None = None
    ) -> None:
        self.database = database
        self._clock = clock
        self._cleaning = cleaning or _Cleaning()

    def within(self, transaction: Transactor) -> SqlKeys:
        """Return the same keys, used in an open transaction."""
        return SqlKeys(transaction, self._clock, self._cleaning)

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
        self._cleaning.clean(connection, moment - LIFETIME)
        names = {"the_key": key, "former_key": former_key}
        entry = None
        while entry is None:
            seed = new_seed()
            new = {"key": key, "fingerprint": fingerprint, "seed": seed, "since": moment, "leased": moment}
            values = {f"new_{name}": value for name, value in new.items()}
            if change(connection, _ADD, {"former_key": former_key, **values}):
                return Claim(seed)
            entry = _lock(connection, names, moment)
        if entry.fingerprint not in {fingerprint, *other_fingerprints}:
            raise other_request()
        if entry.key != key:
            later(connection, _RENAME, names)
        if entry.status is not None:
            return Claim(entry.seed, StoredReply(entry.status, entry.body or b""))
        if abs(passed := moment - entry.leased) < LEASE:  # a clock may have been set back
            raise busy(LEASE - passed)
        later(connection, _CHANGE, {"the_key": key, "leased": moment})
        return Claim(entry.seed)

    @writing
    def free_all(self, connection: Connection) -> None:
        """End all leases: to be called by the only server of a database, when it starts."""
        change(connection, _END_LEASES)

    @writing
    def settle(self, connection: Connection, key: str, reply: StoredReply) -> None:
        """Keep the reply for the rest of the key's hour."""
        later(connection, _CHANGE, {"the_key": key, "status": reply.status, "body": reply.body})


def forget_calls(connection: Connection, seeds: Collection[str], since: float) -> None:
    """Remove the keys of the calls with these seeds, of which none was first made an hour before then, or earlier."""
    change(connection, _FORGET, {"seeds": list(seeds), "first": since - LIFETIME})


def _lock(connection: Connection, names: dict[str, str], moment: float) -> _Entry | None:
    """Return the row of a key until the end of the transaction, None if there is none or its hour is over."""
    row = first(connection, _LOCK, names)
    if row is None:
        return None
    entry = _Entry(*row)
    if entry.status is None or entry.since > moment - LIFETIME:
        return entry
    change(connection, _EXPIRE, {"the_key": entry.key})
    return None
