"""Holding: sessions whose code no server has are held, and released once a server has it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from ..authoring.catalog import Catalog
from ..observers.emitter import Emitter
from ..storage.holds import OTHER_CODE, Holds, Kin
from ..storage.interface import Store
from ..storage.records import Run, RunKind
from .interface import Engine

logger = logging.getLogger(__name__)

_HELD = (
    "%d unfinished session(s) of %s %s are held: no server has the code with which they were started. They go on as "
    "soon as one serves it again, or as soon as it has a version= that fits them; else cancel them, or fail them on "
    "their pages."
)


class Holding:
    """Compares unfinished sessions and tasks with the code of this server, and of the others that are alive."""

    def __init__(self, holds: Holds, engine: Engine, catalog: Catalog, emitter: Emitter) -> None:
        self._holds = holds
        self._engine = engine
        self._catalog = catalog
        self._emitter = emitter
        self._news = threading.Event()
        self._news.set()
        self._told: set[tuple[RunKind, str, str]] = set()

    @property
    def has_news(self) -> bool:
        """True if something was held that `look` has not seen. So it is before the first look, too."""
        return self._news.is_set()

    def look(self) -> None:
        """Hold the waiting sessions whose code no server has, release those whose code is here, and warn of those held.

        This reads all unfinished runs.
        """
        self._news.clear()
        others: Sequence[Catalog] | None = None
        for kin in self._holds.unfinished():
            code = self._catalog.code(kin.kind, kin.task_id)
            if code is not None and code.can_continue(kin.source):
                self._told.discard((kin.kind, kin.task_id, kin.source))
                if kin.held:
                    for run in self._holds.let_go(kin, code.digest):
                        self._emitter.released(run)
                continue
            others = self._others() if others is None else others
            if not _have(others, kin):
                self._hold(kin)

    def _hold(self, kin: Kin) -> None:
        held = self._holds.hold(kin)
        for run in held:
            self._emitter.held(run)
        if held or kin.held:
            self._warn(kin)

    def leave_or_hold(self, store: Store, run: Run) -> None:
        """Leave a root run whose code this server lacks to servers that have it, or else hold it."""
        if _have(self._others(), run):
            store.release(run.id, run.fencing_token)
        else:
            store.hold(run.id, run.fencing_token, OTHER_CODE)
            self._emitter.held(run)
            self._news.set()

    def share(self, due: Sequence[Run]) -> list[str]:
        """Return the jobs of those due runs that are for this server: it has their code, or no other server has it.

        A run whose code no server has is held by the server that begins it.
        """
        others: Sequence[Catalog] | None = None
        mine = []
        for run in due:
            if not _can(self._catalog, run):
                others = self._others() if others is None else others
                if any(_can(catalog, run) for catalog in others):
                    continue
            mine.append(run.job_id)
        return mine

    def _others(self) -> Sequence[Catalog]:
        return [Catalog.read(announced) for announced in self._engine.announced()]

    def _warn(self, kin: Kin) -> None:
        key = (kin.kind, kin.task_id, kin.source)
        if key not in self._told:
            self._told.add(key)
            logger.warning(_HELD, kin.count, kin.kind.value, kin.slug)


def _have(catalogs: Sequence[Catalog], item: Kin | Run) -> bool:
    return any(catalog.has(item.kind, item.task_id, item.source) for catalog in catalogs)


def _can(catalog: Catalog, run: Run) -> bool:
    """Return whether a server can begin a due run. One that has not begun yet fits any code."""
    code = catalog.code(run.kind, run.task_id)
    return code is not None and (run.fencing_token == 0 or code.can_continue(run.source))
