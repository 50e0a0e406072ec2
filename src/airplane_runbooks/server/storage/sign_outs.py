"""Sign-ins that were ended before their time, for all servers on one database."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam

from .prepared import change, scalar
from .tables import SIGN_OUTS
from .transactions import Transactor, reading, writing

_BATCH = 500  # old ones cleaned away at a time
_SKEW = 3600  # seconds by which the clocks of servers may differ

_ID = bindparam("the_id", type_=SIGN_OUTS.c.id.type)
_HAS = sa.select(sa.exists().where(SIGN_OUTS.c.id == _ID))
_ADD = sa.insert(SIGN_OUTS)
_past = sa.select(SIGN_OUTS.c.id).where(SIGN_OUTS.c.until < bindparam("before")).order_by(SIGN_OUTS.c.until)
_CLEAN = sa.delete(SIGN_OUTS).where(SIGN_OUTS.c.id.in_(_past.limit(_BATCH).with_for_update(skip_locked=True)))


class SqlSignOuts:
    """Remembers which sign-ins are over, for as long as their cookies would hold. All methods raise ApiError."""

    def __init__(self, database: Transactor) -> None:
        self.database = database

    @writing
    def add(self, connection: Connection, sign_in: str, until: int, now: int) -> None:
        """End a sign-in whose cookie holds until then, in seconds since 1970, and forget those that are past anyway."""
        change(connection, _CLEAN, {"before": (now - _SKEW) * 1_000_000})
        if not scalar(connection, _HAS, {"the_id": sign_in}):
            change(connection, _ADD, {"id": sign_in, "until": until * 1_000_000})

    @reading
    def has(self, connection: Connection, sign_in: str) -> bool:
        """Tell whether a sign-in is over."""
        return bool(scalar(connection, _HAS, {"the_id": sign_in}))
