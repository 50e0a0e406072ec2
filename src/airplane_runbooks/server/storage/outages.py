"""Outages of a database: told in the log from their beginning to their end, and lasting ones remembered for a while."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from ..logs import describe
from .error_codes import code_name, is_lasting, meaning
from .errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

_MEMORY = 5.0  # seconds
_QUIET = 1.0  # seconds without an error after which an answer ends an outage
REPEAT = 60.0  # seconds until the log repeats what it has said of an outage


class Outages:
    """Outages of one database. Safe for threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lacking = -math.inf  # time of the last lack of room or of the right to write
        self._lack = ""
        self._lock = threading.Lock()
        self._began: float | None = None  # the outage that lasts
        self._latest = -math.inf  # time of the last error
        self._told: dict[str, tuple[float, int]] = {}  # when the log has said it, and how often it was the case since

    @property
    def lack(self) -> str | None:
        """Description of the lack of room or of the right to write for which a transaction has failed lately."""
        return self._lack if self._monotonic() < self._lacking + _MEMORY else None

    @property
    def _lasts(self) -> bool:
        return self._began is not None

    def answered(self) -> None:
        """Note that a transaction has succeeded. The log says so if that ends an outage."""
        if not self._lasts:  # the common case takes no lock
            return
        with self._lock:
            moment, began = self._monotonic(), self._began
            if began is None or moment < self._latest + (_QUIET if self.lack is None else _MEMORY):
                return
            self._began = None
            self._told.clear()
        logger.info("the database answers again after %.0f s", moment - began)

    def report(self, problem: BaseException) -> DatabaseUnavailable:
        """Log an error of a transaction, and return what its callers get in its place. Both say what it means.

        During an outage, the log says the same once in a minute, and how often it was the case.
        """
        words, code = meaning(problem), code_name(problem)
        place = describe(getattr(problem, "orig", None) or problem)
        told = f"{words} ({code})" if code else words
        if (times := self._count(told)) is not None:
            logger.error("%s: %s%s", told, place, f" ({times} times since this was said last)" if times else "")
        if is_lasting(problem):
            self._lacking = self._monotonic()
            self._lack = words
        return DatabaseUnavailable(words)

    def _count(self, told: str) -> int | None:
        """Return how often this was the case since the log has said it; None if the log is not to say it again yet."""
        with self._lock:
            moment = self._latest = self._monotonic()
            self._began = moment if self._began is None else self._began
            at, times = self._told.get(told, (-math.inf, -1))
            is_news = moment >= at + REPEAT
            self._told[told] = (moment, 0) if is_news else (at, times + 1)
            return times + 1 if is_news else None
