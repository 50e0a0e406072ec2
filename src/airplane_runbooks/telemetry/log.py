"""The library's logger. It says nothing where nobody has asked for it."""

from __future__ import annotations

import logging

logger = logging.getLogger("airplane_runbooks")
logger.addHandler(logging.NullHandler())
