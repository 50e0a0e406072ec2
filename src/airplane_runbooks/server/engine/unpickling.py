"""Keeps DBOS from unpickling rows.

Each row of DBOS's tables names its own serialization, regardless of the application's serializer. So a writer of
the database could make the servers on it execute any code. This package writes JSON only.
"""

from __future__ import annotations

from typing import Any, NoReturn

from dbos._serialization import DefaultSerializer

_read = DefaultSerializer.deserialize


class PickleRefused(Exception):
    """A row of DBOS's tables holds a pickle, which is not read."""


def forbid() -> None:
    """Refuse every pickle, on all threads of this process. Idempotent."""
    # patched on the class, since DBOS makes more instances than one
    DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]


def allow() -> None:
    """Let DBOS read pickles again, for other uses by the application."""
    DefaultSerializer.deserialize = _read  # type: ignore[method-assign]


def _refuse(_serializer: DefaultSerializer, _text: Any) -> NoReturn:
    raise PickleRefused("a row holds a pickle, which could execute anything")
