"""Keeps DBOS from unpickling what it reads.

Each row of DBOS's tables names its own serialization, whatever the serializer of the application is: so whoever may
write to the database could have any code executed by the servers on it. This package writes JSON alone.
"""

from __future__ import annotations

from typing import Any, NoReturn

from dbos._serialization import DefaultSerializer

_read = DefaultSerializer.deserialize


class PickleRefused(Exception):
    """A row of DBOS's tables holds a pickle, which is not read."""


def forbid() -> None:
    """Refuse every pickle, on all threads of this process. Idempotent."""
    # of the class: DBOS has one instance for rows that ask for it, and makes more
    DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]


def allow() -> None:
    """Let DBOS read pickles again, for what else the application uses it for."""
    DefaultSerializer.deserialize = _read  # type: ignore[method-assign]


def _refuse(_serializer: DefaultSerializer, _text: Any) -> NoReturn:
    raise PickleRefused("a row holds a pickle, which could execute anything")
