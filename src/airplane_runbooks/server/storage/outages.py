"""Outages of a database: reported to the log, and the lasting ones remembered for a while."""

from __future__ import annotations

import logging
import math
import time

from ..logs import describe
from .error_codes import code_name, is_lasting, meaning
from .errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

_MEMORY = 5.0  # seconds


class Outages:
    """Outages of one database."""

    def __init__(self) -> None:
        self._lacking = -math.inf  # time of the last lack of room or of the right to write
        self._lack = ""

    @property
    def lack(self) -> str | None:
        """Description of the lack of room or of the right to write for which a transaction has failed lately."""
        return self._lack if time.monotonic() < self._lacking + _MEMORY else None

    def report(self, problem: BaseException) -> DatabaseUnavailable:
        """Log an error of a transaction, and return what its callers get in its place. Both say what it means."""
        words, code = meaning(problem), code_name(problem)
        place = describe(getattr(problem, "orig", None) or problem)
        logger.error("%s: %s", f"{words} ({code})" if code else words, place)
        if is_lasting(problem):
            self._lacking = time.monotonic()
            self._lack = words
        return DatabaseUnavailable(words)
