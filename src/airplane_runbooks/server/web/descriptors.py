"""The process's limit of file descriptors, of which each connection takes one."""

from __future__ import annotations

import logging
from contextlib import suppress
from types import ModuleType

from .limits import Limits

resource: ModuleType | None = None
with suppress(ImportError):  # Windows has no such limit
    import resource

logger = logging.getLogger(__name__)

_OTHERS = 100  # descriptors for files, the database and this process's other needs


def make_room(limits: Limits) -> None:
    """Raise the soft limit as far as the limits of a server may need, and log a warning where it stays lower."""
    if resource is None:
        return
    needed = limits.max_connections + limits.max_connections // 4 + limits.max_waiting + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < possible:
        with suppress(OSError, ValueError):  # macOS has a further limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
            soft = possible
    if soft != resource.RLIM_INFINITY and soft < needed:
        logger.warning(
            "this process may open %d files, and %d connections and long polls need %d: raise the limit (ulimit -n, "
            "LimitNOFILE), or lower max_waiting",
            soft,
            limits.max_connections + limits.max_waiting,
            needed,
        )
