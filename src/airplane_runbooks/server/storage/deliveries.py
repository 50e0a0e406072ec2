"""The outbox: messages about sessions to targets outside, kept in the transaction that makes what they tell of.

A delivery is claimed under a lease before it is sent, and removed once its target has got it. A server that dies in
between leaves it to be sent again, with the same ID.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects import postgresql

from .changes import OUTBOX, note_change
from .ids import now
from .prepared import change, fetch, later, scalar
from .records import Delivery, Outcome, Prompt, Run
from .rows import DELIVERY_ROWS, from_microseconds, to_microseconds
from .tables import DELIVERIES
from .transactions import Transactor, reading, writing
from .transitions import next_fencing_token

LEASE = timedelta(seconds=30)  # longer than any attempt
KEPT_GIVEN_UP = timedelta(days=30)
_BATCH = 500  # deliveries that are given up or removed at a time


class Announcer(Protocol):
    """Makes the deliveries of events. It is called in the transaction that makes an event, so it does nothing else."""

    def prompt_opened(self, root: Run, prompt: Prompt, /) -> Sequence[Delivery]:
        """Return the deliveries of a prompt that has been opened. The root run may lack what it holds."""
        ...

    def session_ended(self, root: Run, outcome: Outcome, cancelled_by: str | None, /) -> Sequence[Delivery]:
        """Return the deliveries of a session that has ended; of a task, there are none."""
        ...


def add_deliveries(connection: Connection, deliveries: Iterable[Delivery]) -> None:
    """Add deliveries to the open transaction. One that is there already was added by this very call."""
    for delivery in deliveries:
        later(connection, _ADD, DELIVERY_ROWS.row(delivery))
        note_change(connection, OUTBOX)


class SqlDeliveries:
    """The outbox of a database. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Transactor) -> None:
        self.database = database

    @reading
    def next_due(self, connection: Connection, targets: Collection[str]) -> datetime | None:
        """Return the time from which a delivery to one of these targets can be claimed; None if there is none."""
        moment = scalar(connection, _NEXT_DUE, {"targets": list(targets)})
        return None if moment is None else from_microseconds(moment)

    @writing
    def claim(self, connection: Connection, room: Mapping[str, int], limit: int) -> Sequence[Delivery]:
        """Lease due deliveries to these targets, for each at most so many, and all at most `limit`.

        Each counts as one more attempt.
        """
        moment, taken, claimed = now(), Counter[str](), list[Delivery]()
        values = {"targets": list(room), "before": to_microseconds(moment), "limit": limit}
        for delivery in map(DELIVERY_ROWS.read, fetch(connection, _LOCK_DUE, values)):
            if taken[delivery.target] < room[delivery.target]:
                taken[delivery.target] += 1
                changes: dict[str, Any] = {
                    "due_at": moment + LEASE,
                    "leased": True,
                    "fencing_token": next_fencing_token(delivery.fencing_token),
                    "attempts": delivery.attempts + 1,
                }
                later(connection, _CHANGE, {"key": delivery.id, **DELIVERY_ROWS.write(changes)})
                claimed.append(replace(delivery, **changes))
        return claimed

    @writing
    def settle(self, connection: Connection, delivery: Delivery) -> bool:
        """Remove a claimed delivery whose target has got it; False if the lease was lost meanwhile."""
        return bool(change(connection, _REMOVE, {"key": delivery.id, "of_fencing_token": delivery.fencing_token}))

    @writing
    def retry(self, connection: Connection, delivery: Delivery, problem: str, due_at: datetime) -> bool:
        """Leave a claimed delivery for a later attempt; False if the lease was lost meanwhile."""
        return _settle(connection, delivery, problem=problem, due_at=due_at)

    @writing
    def give_up(self, connection: Connection, delivery: Delivery, problem: str) -> bool:
        """Give a claimed delivery up; False if the lease was lost meanwhile. Removes what was given up long ago."""
        change(connection, _REMOVE_OLD, {"before": to_microseconds(now() - KEPT_GIVEN_UP)})
        return _settle(connection, delivery, problem=problem, due_at=None, given_up_at=now())

    @writing
    def give_up_unknown(
        self, connection: Connection, targets: Collection[str], before: datetime, problem: str
    ) -> Sequence[Delivery]:
        """Give up what has been due since before then, and is to none of these targets; return it."""
        values = {"targets": list(targets), "before": to_microseconds(before), "limit": _BATCH}
        unknown = [DELIVERY_ROWS.read(row) for row in fetch(connection, _LOCK_UNKNOWN, values)]
        for delivery in unknown:
            changes = {"due_at": None, "leased": False, "given_up_at": now(), "problem": problem}
            later(connection, _CHANGE, {"key": delivery.id, **DELIVERY_ROWS.write(changes)})
        return unknown

    @writing
    def end_leases(self, connection: Connection) -> None:
        """End all leases: to be called by the only server, when it starts."""
        change(connection, _END_LEASES, {"moment": to_microseconds(now())})

    @writing
    def send_again(self, connection: Connection, delivery_id: str) -> bool:
        """Let a delivery that was given up begin anew; False if it is not there, or was not given up."""
        changes = {"due_at": now(), "given_up_at": None, "attempts": 0, "problem": ""}
        return bool(change(connection, _CHANGE_GIVEN_UP, {"key": delivery_id, **DELIVERY_ROWS.write(changes)}))

    @reading
    def given_up(self, connection: Connection, limit: int) -> Sequence[Delivery]:
        """Return what was given up, the latest first."""
        return [DELIVERY_ROWS.read(row) for row in fetch(connection, _GIVEN_UP, {"limit": limit})]

    @reading
    def waiting(self, connection: Connection, limit: int) -> Sequence[Delivery]:
        """Return what is to be sent, in the order of the next attempts."""
        return [DELIVERY_ROWS.read(row) for row in fetch(connection, _WAITING, {"limit": limit})]

    @reading
    def count(self, connection: Connection) -> Mapping[str, int]:
        """Return how many are to be sent, as `waiting`, and how many were given up, as `given_up`."""
        return {"waiting": scalar(connection, _COUNT_WAITING), "given_up": scalar(connection, _COUNT_GIVEN_UP)}


def remove_deliveries(connection: Connection, session_id: str) -> None:
    """Remove all that is to be told of a session, or was given up."""
    later(connection, _REMOVE_OF_SESSION, {"of_session": session_id})


def _settle(connection: Connection, delivery: Delivery, **changes: Any) -> bool:
    values = {"key": delivery.id, "of_fencing_token": delivery.fencing_token, "leased": False, **changes}
    return bool(change(connection, _CHANGE_CLAIMED, DELIVERY_ROWS.write(values)))


_KEY = bindparam("key", type_=DELIVERIES.c.id.type)
_LIMIT = bindparam("limit", type_=sa.BigInteger)
_BEFORE = bindparam("before", type_=sa.BigInteger)
_TARGETS = bindparam("targets", expanding=True, type_=DELIVERIES.c.target.type)
_all = sa.select(*DELIVERY_ROWS.columns)
_in_order = (DELIVERIES.c.due_at, DELIVERIES.c.seq)

_ADD = postgresql.insert(DELIVERIES).inline().on_conflict_do_nothing(index_elements=[DELIVERIES.c.id])
_NEXT_DUE = (
    sa.select(DELIVERIES.c.due_at)
    .where(DELIVERIES.c.due_at.is_not(None), DELIVERIES.c.target.in_(_TARGETS))
    .order_by(*_in_order)
    .limit(1)
)
_LOCK_DUE = (
    _all.where(DELIVERIES.c.due_at <= _BEFORE, DELIVERIES.c.target.in_(_TARGETS))
    .order_by(*_in_order)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
_LOCK_UNKNOWN = (
    _all.where(DELIVERIES.c.due_at < _BEFORE, DELIVERIES.c.target.not_in(_TARGETS))
    .order_by(*_in_order)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)
_CHANGE = sa.update(DELIVERIES).where(DELIVERIES.c.id == _KEY)
_CHANGE_CLAIMED = _CHANGE.where(DELIVERIES.c.fencing_token == bindparam("of_fencing_token"))
_CHANGE_GIVEN_UP = _CHANGE.where(DELIVERIES.c.given_up_at.is_not(None))
_REMOVE = sa.delete(DELIVERIES).where(
    DELIVERIES.c.id == _KEY, DELIVERIES.c.fencing_token == bindparam("of_fencing_token")
)
_REMOVE_OLD = sa.delete(DELIVERIES).where(DELIVERIES.c.given_up_at < _BEFORE)
_REMOVE_OF_SESSION = sa.delete(DELIVERIES).where(DELIVERIES.c.session_id == bindparam("of_session"))
_END_LEASES = (
    sa.update(DELIVERIES)
    .where(DELIVERIES.c.due_at.is_not(None), DELIVERIES.c.leased)
    .values(due_at=bindparam("moment", type_=sa.BigInteger), leased=False)
)
_GIVEN_UP = (
    _all.where(DELIVERIES.c.given_up_at.is_not(None))
    .order_by(DELIVERIES.c.given_up_at.desc(), DELIVERIES.c.seq.desc())
    .limit(_LIMIT)
)
_WAITING = _all.where(DELIVERIES.c.due_at.is_not(None)).order_by(*_in_order).limit(_LIMIT)
_COUNT_WAITING = sa.select(sa.func.count()).select_from(DELIVERIES).where(DELIVERIES.c.due_at.is_not(None))
_COUNT_GIVEN_UP = sa.select(sa.func.count()).select_from(DELIVERIES).where(DELIVERIES.c.given_up_at.is_not(None))
