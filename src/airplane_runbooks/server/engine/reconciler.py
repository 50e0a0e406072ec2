"""Keeps the engine in line with the store, and the store with the clock."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta

from ..errors import Conflict, Held, NotFound
from ..logs import describe
from ..notifications import Notifications
from ..storage.changes import CHANGES
from ..storage.errors import DatabaseUnavailable
from ..storage.ids import now
from ..storage.interface import Store
from .holding import Holding
from .interface import Engine

logger = logging.getLogger(__name__)

BATCH = 100  # due jobs or prompts that are read at a time
_EVERY = 5  # passes between two looks at what may be held or dropped
_RARELY = 60  # passes between two looks at what may have become too old, if nothing has changed
LONGEST_BLINDNESS = 5.0  # seconds without a look at what is due; less than a lease, so each is seen before it lapses
UNUSED_UPLOADS = timedelta(hours=24)  # for which uploads are kept that no session has


class Reconciler:
    """Finds lost jobs and expired prompts, once in `interval` seconds, and old records less often.

    It asks the store only if something may have changed there, by what it is told, or has become due by now.

    Of the root runs that have ended, the last `keep_ended` are kept, and none for longer than `keep_for`.
    Uploads go with the last session that has them, and after a day if none ever has.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        notifications: Notifications,
        *,
        holding: Holding,
        expire: Callable[[str], None],
        keep_ended: int,
        keep_for: timedelta | None,
        interval: float = 1.0,
    ) -> None:
        self._store = store
        self._engine = engine
        self._notifications = notifications
        self._holding = holding
        self._expire_prompt = expire
        self._keep_ended = keep_ended
        self._keep_for = keep_for
        self._interval = interval
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._hurried = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="runbook-reconciler", daemon=True)
        self._failing: set[str] = set()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._last_change = object()
        self._done: dict[str, object] = {}  # what had changed before each duty was last done
        self._next_chore: datetime | None = None
        self._seen: object = None  # what had changed before the next chore was read
        self._blind_from = 0.0  # when it has to be read again even so, by the monotonic clock
        self._passes = 0
        self._more = False  # whether there may be more prompts to expire
        self._luck = random.Random()  # noqa: S311 - no secret; of its own, to leave the application's seed alone

    def start(self) -> None:
        """Do everything once, and then continue in the background."""
        self._unsubscribe = self._notifications.subscribe(CHANGES, self._note_change)
        self._thread.start()
        self._ready.wait()

    def hurry(self) -> None:
        """Look soon at what is due. Returns at once."""
        self._hurried.set()

    def stop(self) -> None:
        """Stop, and wait for running work. Idempotent."""
        self._stopping.set()
        self._hurried.set()
        if self._thread.is_alive():
            self._thread.join()
        self._unsubscribe()

    def _note_change(self, _: Collection[str] | None) -> None:
        self._last_change = object()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._more = False
            self._pass()
            self._ready.set()
            if self._more:
                continue
            # several servers should not run at the same moments
            next_pass = time.monotonic() + self._interval * self._luck.uniform(0.8, 1.2)
            while self._hurried.wait(max(0.0, next_pass - time.monotonic())) and not self._stopping.is_set():
                self._hurried.clear()
                self._guarded("recover what is due", self._recover)

    def _pass(self) -> None:
        moment = now()
        is_thorough = self._passes % _EVERY == 0
        if is_thorough or self._holding.has_news:
            changes = object() if self._holding.has_news else self._changes()
            self._unless_done("hold what has no code here", self._holding.look, (changes, self._engine.peers))
        if is_thorough:
            age = None if self._keep_for is None else self._passes // _RARELY
            self._unless_done("drop what has ended", lambda: self._drop(moment), (self._changes(), age))
            age = self._passes // _RARELY
            self._unless_done("drop unused uploads", lambda: self._drop_uploads(moment), (self._changes(), age))
        self._passes += 1
        self._guarded("see what is due", lambda: self._see(moment))

    def _changes(self) -> object:
        """Return what is equal to what it was before, if nothing can have changed in between."""
        return self._last_change if self._notifications.is_complete else object()

    def _see(self, moment: datetime) -> None:
        """Do what has become due, which most passes of an idle server know without a statement is nothing."""
        changes = self._changes()
        if changes is not self._seen or self._is_due(moment) or time.monotonic() >= self._blind_from:
            self._next_chore = self._store.next_chore()
            self._seen, self._blind_from = changes, time.monotonic() + LONGEST_BLINDNESS
        if self._is_due(moment):
            self._guarded("expire prompts", lambda: self._expire(moment))
            self._guarded("recover what is due", self._recover)
        else:
            self._engine.recover([])

    def _is_due(self, moment: datetime) -> bool:
        return self._next_chore is not None and self._next_chore < moment

    def _unless_done(self, duty: str, call: Callable[[], None], changes: object) -> None:
        """Do a duty unless that was done after these changes."""
        if self._done.get(duty) != changes and self._guarded(duty, call):
            self._done[duty] = changes

    def _guarded(self, duty: str, call: Callable[[], None]) -> bool:
        try:
            call()
        except Exception as problem:  # noqa: BLE001 - a failure must not affect other duties or the next round
            if duty not in self._failing and not self._stopping.is_set():
                known = isinstance(problem, DatabaseUnavailable)  # the log has what is the matter with the database
                logger.log(logging.DEBUG if known else logging.ERROR, "cannot %s: %s", duty, describe(problem))
            self._failing.add(duty)
            return False
        self._failing.discard(duty)
        return True

    def _recover(self) -> None:
        moment = now()
        due = self._store.due(moment, BATCH)
        ages = {run.job_id: (moment - run.due_at).total_seconds() for run in due if run.due_at is not None}
        self._engine.recover(self._holding.share(due), more=len(due) == BATCH, ages=ages)

    def _expire(self, moment: datetime) -> None:
        overdue = self._store.overdue(moment, BATCH)
        for prompt_id in overdue:
            with suppress(Conflict, Held, NotFound):  # answered meanwhile, or expired, or held by another server
                self._expire_prompt(prompt_id)
        self._more = len(overdue) == BATCH

    def _drop(self, moment: datetime) -> None:
        before = None if self._keep_for is None else moment - self._keep_for
        while self._store.drop(self._keep_ended, before) and not self._stopping.is_set():
            pass  # a busy server ends more between two passes than the store drops at a time

    def _drop_uploads(self, moment: datetime) -> None:
        while self._store.uploads.drop(moment - UNUSED_UPLOADS) and not self._stopping.is_set():
            pass
