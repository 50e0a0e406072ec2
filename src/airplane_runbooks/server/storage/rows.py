"""From records to rows and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from ...models import (
    Parameter,
    Reviewers,
    RunStatus,
    SessionStatus,
)
from .records import (
    AttemptFailure,
    Delivery,
    Failure,
    Prompt,
    Run,
    RunKind,
    Session,
)
from .tables import DELIVERIES, PROMPTS, RUNS, SESSIONS

RecordT = TypeVar("RecordT", Session, Run, Prompt, Delivery)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Count the microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the moment, in UTC."""
    return _EPOCH + timedelta(microseconds=count)


def _failure(failure: Failure) -> bytes:
    """Encode a failure; what is not text in it is written as a question mark."""
    texts = [text and text.encode(errors="replace").decode() for text in msgspec.structs.astuple(failure)]
    return msgspec.json.encode(Failure(*texts))


def _json(kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return msgspec.json.encode, msgspec.json.Decoder(kind).decode


_RESULT = {"output", "failure", "earlier_failures", "sealed_output"}
PAYLOAD = frozenset({"param_values", "params", "resources", "sealed_values"} | _RESULT)
LONGEST_LISTED = 32 * 1024  # bytes of each of them in a list
LEFT_OUT = b" null"  # a null in a spelling of its own, in place of a longer value

_LEFT_OUT = {"param_values": LEFT_OUT, "output": LEFT_OUT, "params": b"[]", "resources": b"{}"}
_AS_MOMENT = (to_microseconds, from_microseconds)
_AS_BOOL = (bool, bool)  # SQLite has numbers in their place
_AS_PARAMETERS = _json(tuple[Parameter, ...])

# how a field is written and read; the others go as they are
_FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "params": _AS_PARAMETERS,
    "parameters": _AS_PARAMETERS,
    "resources": _json(dict[str, str]),
    "reviewers": _json(Reviewers),
    "earlier_failures": _json(tuple[AttemptFailure, ...]),
    "failure": (_failure, msgspec.json.Decoder(Failure).decode),
    "kind": (str.__str__, RunKind),
    "answered_meanwhile": _AS_BOOL,
    "leased": _AS_BOOL,
}


def _briefly(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    if column.name not in PAYLOAD:
        return column
    is_short = sa.func.length(column) <= sa.literal_column(str(LONGEST_LISTED))
    return sa.case((is_short, column), else_=sa.literal(_LEFT_OUT.get(column.name), column.type))


class Rows(Generic[RecordT]):
    """Mapping of records to their table. `without` names fields that are not read; they keep their defaults.

    Attributes:
        columns: What to select, in this order.
        brief: The same for lists: what is longer than `LONGEST_LISTED` is not even read, and something stands for it.
    """

    def __init__(
        self, kind: type[RecordT], table: sa.Table, status: Callable[[str], Any], without: Collection[str] = ()
    ) -> None:
        names = [name for name in kind.__struct_fields__ if name not in without]
        forms = {**_FORMS, "status": (str.__str__, status)}
        forms.update((name, _AS_MOMENT) for name in names if name.endswith("_at"))
        self.columns = [table.c[name] for name in names]
        self.brief = [_briefly(table.c[name]) for name in names]
        self._make: Callable[..., RecordT] = kind
        self._names = names
        self._writers = [(name, forms[name][0]) for name in names if name in forms]
        self._readers = [(name, forms[name][1]) for name in names if name in forms]

    def write(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values for the columns of these fields."""
        values = dict(fields)
        for name, form in self._writers:
            if (value := values.get(name)) is not None:
                values[name] = form(value)
        return values

    def row(self, record: RecordT) -> dict[str, Any]:
        """Return the values for the columns of a record."""
        return self.write(msgspec.structs.asdict(record))

    def read(self, row: Sequence[Any]) -> RecordT:
        """Return the record of a row of `columns`."""
        values = dict(zip(self._names, row, strict=True))
        for name, form in self._readers:
            if (value := values[name]) is not None:
                values[name] = form(value)
        return self._make(**values)


SESSION_ROWS = Rows(Session, SESSIONS, SessionStatus)
RUN_ROWS = Rows(Run, RUNS, RunStatus)
PROMPT_ROWS = Rows(Prompt, PROMPTS, str)
DELIVERY_ROWS = Rows(Delivery, DELIVERIES, str)

LEAN_ROWS = Rows(Run, RUNS, RunStatus, without=PAYLOAD)
# with the values that the run was started with, sealed: an answer is masked by the secrets among them
ASKING_ROWS = Rows(Run, RUNS, RunStatus, without=PAYLOAD - {"params", "sealed_values"})
# with its result or the reason for which it has none; what a failure holds is short enough
ENDED_ROWS = Rows(Run, RUNS, RunStatus, without=PAYLOAD - {"output", "failure"})
ENDED_COLUMNS = [_briefly(column) if column is RUNS.c.output else column for column in ENDED_ROWS.columns]
