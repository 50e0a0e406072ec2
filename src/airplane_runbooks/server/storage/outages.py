"""Outages of a database: reported to the log, and the lasting ones remembered for a while."""

from __future__ import annotations

import logging
import math
import time

from ..logs import describe
from .error_codes import is_lasting
from .errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

_MEMORY = 5.0  # seconds


class Outages:
    """Outages of one database."""

    def __init__(self) -> None:
        self._lacking = -math.inf  # time of the last lack of room or of the right to write

    @property
    def is_lacking(self) -> bool:
        """True for a while after a transaction has failed for want of room or of the right to write."""
        return time.monotonic() < self._lacking + _MEMORY

    def report(self, problem: BaseException) -> DatabaseUnavailable:
        """Log an error of a transaction, and return what its callers get in its place."""
        logger.error("the database does not answer: %s", describe(getattr(problem, "orig", None) or problem))
        if is_lasting(problem):
            self._lacking = time.monotonic()
        return DatabaseUnavailable()
