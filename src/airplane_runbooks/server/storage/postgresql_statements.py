"""SQL and values in the forms in which libpq takes them, each statement compiled once."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from psycopg import pq
from sqlalchemy.dialects import postgresql

from .tables import from_postgres, on_postgres

_DIALECT: sa.Dialect = cast("Any", postgresql.dialect)(paramstyle="numeric_dollar")
_NUMBERS = itertools.count()


class _Form(NamedTuple):
    """Form of the values of one type: the OID of the type, the format of the protocol, and how they are written."""

    oid: int
    format: int
    write: Callable[[Any], bytes]


def _write_number(value: int) -> bytes:
    return b"%d" % value


def _write_text(value: str) -> bytes:
    return on_postgres(value).encode()


def _write_bool(value: object) -> bytes:
    return b"t" if value else b"f"


def _write_float(value: float) -> bytes:
    return repr(float(value)).encode()


def _read_number(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _read_text(value: bytes) -> str:
    return from_postgres(value.decode())


def _read_float(value: bytes) -> float:
    number: float = struct.unpack("!d", value)[0]
    return number


# a type comes before those that it is derived from
_FORMS: Sequence[tuple[type[sa.types.TypeEngine[Any]], _Form]] = (
    (sa.String, _Form(25, pq.Format.TEXT, _write_text)),
    (sa.BigInteger, _Form(20, pq.Format.TEXT, _write_number)),
    (sa.Integer, _Form(23, pq.Format.TEXT, _write_number)),
    (sa.LargeBinary, _Form(17, pq.Format.BINARY, bytes)),
    (sa.Boolean, _Form(16, pq.Format.TEXT, _write_bool)),
    (sa.Float, _Form(701, pq.Format.TEXT, _write_float)),
)
_READERS: Mapping[int, Callable[[bytes], Any]] = {  # by OID, from the binary format
    16: lambda value: value == b"\1",
    17: bytes,
    20: _read_number,
    23: _read_number,
    25: _read_text,
    701: _read_float,
    1043: _read_text,
}


class Statement:
    """A statement for values of some names.

    Attributes:
        text: The SQL.
        sql: The same, encoded.
        name: Its name once it has been prepared.
        oids: The types of its parameters.
        formats: The formats of its parameters.
    """

    def __init__(
        self, text: str, binds: Sequence[tuple[str, Any]] = (), fixed: Mapping[str, Any] | None = None
    ) -> None:
        forms = [_form(kind) for _, kind in binds]
        self.text = text
        self.sql = text.encode()
        self.name = b"runbook_%d" % next(_NUMBERS)
        self.oids = [form.oid for form in forms]
        self.formats = [form.format for form in forms]
        self._fixed = fixed
        self._writers = [(name, form.write) for (name, _), form in zip(binds, forms, strict=True)]
        self._readers: Sequence[Callable[[bytes], Any]] = ()

    def parameters(self, values: Mapping[str, Any]) -> Sequence[bytes | None]:
        """Return the values as PostgreSQL takes them."""
        if self._fixed:
            values = {**self._fixed, **values}
        return [None if (value := values[name]) is None else write(value) for name, write in self._writers]

    def readers(self, result: pq.abc.PGresult) -> Sequence[Callable[[bytes], Any]]:
        """Return how the values of the columns are read, which all results have in common."""
        if not self._readers:
            self._readers = [_READERS[result.ftype(column)] for column in range(result.nfields)]
        return self._readers


class Answer:
    """The answer to a statement, as a cursor would have it."""

    def __init__(self, statement: Statement, result: pq.abc.PGresult) -> None:
        self._statement = statement
        self._result = result

    @property
    def rowcount(self) -> int:
        """Number of rows that were changed."""
        return self._result.command_tuples or 0

    def fetchone(self) -> Sequence[Any] | None:
        """Return the first row."""
        return self._row(0) if self._result.ntuples else None

    def fetchall(self) -> Sequence[Sequence[Any]]:
        """Return all rows."""
        return [self._row(number) for number in range(self._result.ntuples)]

    def _row(self, number: int) -> Sequence[Any]:
        get = self._result.get_value
        readers = enumerate(self._statement.readers(self._result))
        return tuple(None if (value := get(number, column)) is None else read(value) for column, read in readers)


def command(text: str) -> Statement:
    """Return a command that has no parameters."""
    return Statement(text)


@lru_cache(maxsize=1000)
def prepared(statement: Any, names: tuple[str, ...]) -> Statement | None:
    """Compile a statement for values of these names; None for lists, whose length is part of the SQL."""
    compiled = statement.compile(dialect=_DIALECT, column_keys=names)
    if any(bind.expanding for bind in compiled.binds.values()):
        return None
    values = compiled.params
    if compiled.literal_execute_params:  # values that SQLAlchemy writes into the SQL
        statement = statement.params(dict.fromkeys(names))
        compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    binds = [(name, compiled.binds[name].type) for name in compiled.positiontup]
    return Statement(str(compiled), binds, {name: values[name] for name, _ in binds if name not in names})


def _form(kind: sa.types.TypeEngine[Any]) -> _Form:
    return next(form for base, form in _FORMS if isinstance(kind, base))
