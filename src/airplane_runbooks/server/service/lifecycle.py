"""Start and end of what works in the background for an application."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from ..engine.reconciler import Reconciler
from ..errors import Closing
from ..execution.capture import Capture
from ..execution.runner import Runner
from ..logs import describe
from ..storage.errors import DatabaseUnavailable
from .services import Services

logger = logging.getLogger(__name__)

_LAST_EVENTS = 2.0  # seconds for observers to handle the events that still wait for them


class Closable(Protocol):
    """The database of an application."""

    def probe(self) -> None:
        """Write something that leaves nothing behind. Raises DatabaseUnavailable."""
        ...

    def close(self) -> None:
        """Let go of what it holds. Idempotent."""
        ...


class Lifecycle:
    """Opens and closes the engine, the runner, the reconciler and the database of an application.

    Attributes:
        services: The use cases' dependencies, for as long as it is open.
        stopping: Whether `stop` or `close` has been called.
    """

    def __init__(
        self,
        services: Services,
        *,
        runner: Runner,
        reconciler: Reconciler,
        database: Closable,
        capture: Capture | None,
    ) -> None:
        self.services = services
        self.stopping = False
        self._runner = runner
        self._reconciler = reconciler
        self._database = database
        self._capture = capture
        self._at_stop: list[Callable[[], None]] = []
        self._opening = threading.Lock()
        self._open = False

    def open(self) -> None:
        """Start what works in the background. Idempotent. Raises Closing, and what the engine does."""
        if self._open:
            return
        with self._opening:
            if self.stopping:
                raise Closing("closing", "the server is closing")
            if not self._open:
                if self._capture is not None:
                    self._capture.open()
                self.services.notifications.open()
                self.services.engine.open(self._work, self._reconciler.hurry)
                self._reconciler.start()
                self.services.deliverer.open()
                self._open = True

    def probe(self) -> None:
        """Find out whether anything could be kept now. Raises DatabaseUnavailable."""
        self._database.probe()

    @property
    def has_workers(self) -> bool:
        """True while a worker is left."""
        return self._runner.has_workers

    def at_stop(self, call: Callable[[], None]) -> None:
        """Call this when the server begins to stop, on any thread; it must return at once."""
        self._at_stop.append(call)

    def stop(self) -> None:
        """Let every execution end at its next step, without waiting for it."""
        if not self.stopping:
            self.stopping = True
            self._runner.stop()
            self.services.deliverer.stop()
            for call in self._at_stop:
                call()
            # on a thread, since the database may be slow; at once, since the process may not wait for the end
            threading.Thread(
                target=_best_effort, args=(self._runner.excuse,), name="runbook-excuse", daemon=True
            ).start()

    def close(self, timeout: float) -> None:
        """End every execution at its next step, waiting at most `timeout` seconds for them. Idempotent."""
        self.stop()
        deadline = time.monotonic() + timeout
        with self._opening:
            self._reconciler.stop()
            self.services.engine.close(timeout)
            _best_effort(self._runner.give_back)
            self._runner.close()
            self.services.deliverer.close(max(0.0, deadline - time.monotonic()))
            self._database.close()
            self.services.emitter.close(_LAST_EVENTS)
            if self._capture is not None:
                self._capture.close()

    def _work(self, job_id: str) -> bool:
        run_id, _, segment = job_id.rpartition(".")
        return self._runner.work(run_id, int(segment))


def _best_effort(call: Callable[[], None]) -> None:
    """Call a function that only spares other servers some work."""
    try:
        call()
    except DatabaseUnavailable as problem:
        logger.warning("running executions are left as they are: %s", describe(problem))
