"""A client's core, which is built for the first call: a client may be built where no call is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from .core import Core
else:
    Core = Any  # keeps `get_type_hints` working; loaded with the first call


class DeferredCore:
    """The core of a client and its clones. Threads may share it."""

    def __init__(self, build: Callable[[], Core]) -> None:
        self._build = build
        self._built: dict[str, Core] = {}

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client cannot be pickled")

    def get(self) -> Core:
        """Return the core. If threads ask for it at once, all get the one that is ready first."""
        core = self._built.get("core")
        # Without a lock, for a child that is forked meanwhile would find it taken for ever.
        return self._built.setdefault("core", self._build()) if core is None else core
