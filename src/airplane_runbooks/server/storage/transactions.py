"""Transactions of a store's methods: one each, or one that several share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa

P = ParamSpec("P")
T = TypeVar("T")


class Transactor(Protocol):
    """Calls functions in transactions: a database begins one for each, an open transaction has them join it."""

    def query(self, work: Callable[[sa.Connection], T]) -> T:
        """Call with a connection to read. May call again. Raises DatabaseUnavailable."""
        ...

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Call with a connection to write. May call again. Raises DatabaseUnavailable."""
        ...


class OpenTransaction:
    """A transaction that has begun, for stores whose calls are to be committed together.

    `settle` is called before each of them, to write what has been left for later.
    """

    def __init__(self, connection: sa.Connection, settle: Callable[[], None]) -> None:
        self._connection = connection
        self._settle = settle

    def query(self, work: Callable[[sa.Connection], T]) -> T:
        """Read in the transaction."""
        self._settle()
        return work(self._connection)

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Write in the transaction, which the caller that began it commits."""
        self._settle()
        return work(self._connection)


class HasTransactor(Protocol):
    """A store that keeps its state in a database."""

    @property
    def database(self) -> Transactor:
        """The database, or an open transaction in it."""
        ...


OwnerT = TypeVar("OwnerT", bound=HasTransactor)


def reading(method: Callable[Concatenate[OwnerT, sa.Connection, P], T]) -> Callable[Concatenate[OwnerT, P], T]:
    """Give a method a connection to read from. It may be called again after a lost connection."""

    @wraps(method)
    def call(owner: OwnerT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return owner.database.query(lambda connection: method(owner, connection, *args, **kwargs))

    return call


def writing(method: Callable[Concatenate[OwnerT, sa.Connection, P], T]) -> Callable[Concatenate[OwnerT, P], T]:
    """Make a method one transaction. It may be called again after one that was rolled back."""

    @wraps(method)
    def call(owner: OwnerT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return owner.database.transact(lambda connection: method(owner, connection, *args, **kwargs))

    return call
