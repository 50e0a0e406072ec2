"""The code of the runbooks and tasks that a server has, and its announcement to other servers."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..storage.records import RunKind
from .code import Code
from .decorators import Runbook, Task


class Entry(msgspec.Struct, frozen=True):
    """A runbook or task, with its code."""

    kind: RunKind
    id: str
    code: Code


class Catalog:
    """The runbooks and tasks of one server."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {(entry.kind, entry.id): entry for entry in entries}

    @classmethod
    def of(cls, runbooks: Iterable[Runbook[..., object]], tasks: Iterable[Task[..., object]]) -> Catalog:
        """Return the catalog of these runbooks and tasks."""
        return cls(
            [
                *(Entry(RunKind.RUNBOOK, runbook.id, runbook.code) for runbook in runbooks),
                *(Entry(RunKind.TASK, task.id, task.code) for task in tasks),
            ]
        )

    @classmethod
    def read(cls, announced: bytes) -> Catalog:
        """Read the announcement of another server."""
        return cls(msgspec.json.decode(announced, type=list[Entry]))

    def announcement(self) -> bytes:
        """Return the catalog as JSON, for other servers."""
        return msgspec.json.encode(list(self._entries.values()))

    def code(self, kind: RunKind, task_id: str) -> Code | None:
        """Return the code of a runbook or task; None if this server does not have it."""
        entry = self._entries.get((kind, task_id))
        return None if entry is None else entry.code

    def has(self, kind: RunKind, task_id: str, source: str) -> bool:
        """Tell whether this server has the code to continue a session or task that recorded `source`."""
        code = self.code(kind, task_id)
        return code is not None and code.can_continue(source)
