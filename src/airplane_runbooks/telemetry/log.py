"""The library's logger. It is silent unless the application configures logging."""

from __future__ import annotations

import logging

logger = logging.getLogger("airplane_runbooks")
logger.addHandler(logging.NullHandler())
